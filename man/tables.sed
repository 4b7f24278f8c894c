# The first line of a page that has tables, which man reads with tbl.
1i '\\" t
