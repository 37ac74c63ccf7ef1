"""The builder of breast_cancer; see README.md."""
