"""The commit protocol as a model that is searched exhaustively, apart from the product's code."""
