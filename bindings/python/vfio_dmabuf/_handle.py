# SPDX-License-Identifier: MIT
"""What devices, slices and IO address spaces have in common: they are closed once."""
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar


class _Native(Protocol):
    def close(self) -> None: ...
    def closed(self) -> bool: ...


class _NativeFile(_Native, Protocol):
    def fileno(self) -> int: ...


_N = TypeVar("_N", bound=_Native)
_F = TypeVar("_F", bound=_NativeFile)


class Closing:
    """A context manager that closes its object at the end."""

    __slots__ = ()

    def close(self) -> None:
        """Close the object.  May be called again."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class Handle(Closing, Generic[_N]):
    """An object of the library."""

    __slots__ = ("_native",)

    _native: _N

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._native.closed()

    def close(self) -> None:
        """Close the object and its fds.  May be called again."""
        self._native.close()


class FileHandle(Handle[_F]):
    """An object of the library that has an fd."""

    __slots__ = ()

    def fileno(self) -> int:
        """The fd; it belongs to this object."""
        return self._native.fileno()
