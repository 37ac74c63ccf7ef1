"""How the embedded sets were made: one TFDS builder each, with origin and licence beside it."""
