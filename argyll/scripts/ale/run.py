"""The state of one evaluation: the meter plus the tail call that waits to be made."""

from argyll.scripts.ale.values import Frame, Node
from argyll.scripts.meter import Meter


class Run(Meter):
    """`next_body` and `next_frame` are meaningful exactly while a node has answered TAIL and nobody has followed it."""

    __slots__ = ("next_body", "next_frame")

    next_body: Node
    next_frame: Frame
