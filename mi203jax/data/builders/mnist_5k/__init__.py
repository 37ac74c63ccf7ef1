"""The builder of mnist_5k; see README.md."""
