"""What can go wrong by a user's hand, and what is no error at all."""


class InputError(Exception):
    """The user's mistake, in one sentence: where, what was found, what was expected. The command line exits with 2."""


class Stopped(Exception):
    """Training stopped early and can go on: everything needed is saved. The command line exits with 75."""
