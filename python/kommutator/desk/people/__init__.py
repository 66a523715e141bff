"""The company's people, as the active version has them."""
