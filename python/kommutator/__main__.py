"""`python -m kommutator`: the command line."""

from kommutator.cli import main

main(prog_name="kommutator")
