"""``dgst demo``."""

NAME = "demo"
HELP = "Show the whole way on made-up scans: predict, fine-tune on a few marked nodes, predict again."


def add_arguments(parser):
    pass


def run(options):
    raise NotImplementedError
