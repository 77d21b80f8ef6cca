"""`python -m wse_sim` is the command `wse-sim`."""

from wse_sim.cli.app import main

if __name__ == "__main__":
    main(prog_name="wse-sim")
