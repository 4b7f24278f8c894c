// SPDX-License-Identifier: MIT
//! Sets of bits as types.

/// Gives a tuple struct over an integer its constants and the operations of a set.
macro_rules! bit_set {
    ($type:ident; $($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// Whether it has all of `other`.
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether it is empty.
            pub fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl std::ops::BitOr for $type {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl std::ops::BitOrAssign for $type {
            fn bitor_assign(&mut self, other: Self) {
                self.0 |= other.0;
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut rest = self.0;
                let mut separator = "";
                write!(f, concat!(stringify!($type), "("))?;
                $(if self.contains(Self::$name) {
                    rest &= !Self::$name.0;
                    write!(f, concat!("{}", stringify!($name)), separator)?;
                    separator = " | ";
                })*
                if rest != 0 {
                    write!(f, "{separator}{rest:#x}")?;
                }
                f.write_str(")")
            }
        }
    };
}
