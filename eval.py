"""`python eval.py --help` lists the flags; see youtube8m/tools/eval.py."""

from youtube8m import cli

if __name__ == "__main__":
    cli.run("youtube8m.tools.eval")
