"""The builder of japanese_vowels; see README.md."""
