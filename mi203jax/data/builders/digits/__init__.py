"""The builder of digits; see README.md."""
