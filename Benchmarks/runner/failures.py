"""What can go wrong with one system in one row. Either drops it from that row; the run goes on."""


class Failed(Exception):
    """A command, a mount or a server did not do what it was asked."""


class WrongData(Failed):
    """The system answered, and the answer was not what had been written."""


class Missing(Failed):
    """A program that this machine lacks."""
