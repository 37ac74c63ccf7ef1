"""The lecture as data, and the page that a run of all of it comes to.

Modules: `slides` (what each slide says, where it is implemented and seen; as data in `classifying` and
`beyond`), `judges` (whether what was measured bears it out; `evidence` is what they see, `shares` how far
two shares must be apart), `source` (what a function's file says of it), `outcome` (what came of an
experiment), `page`, `sections` and `pictures` (`lecture.html`).

Does not import jax.
"""
