"""Every difference from a plain network that is known, and why it is there: one place for all.

The suite fails where something differs that is not here, and where something here no longer differs."""

from dataclasses import dataclass

ONE_RUNNER, ACROSS = "one runner", "across runners"
EVERYWHERE = [ONE_RUNNER, ACROSS]


@dataclass(frozen=True)
class Known:
    case: str  # the class's name
    paths: list  # where it shows
    reason: str  # for the documentation
    only: tuple = ()  # the labels under which it shows, as `client: connect`; empty for any
    sometimes: bool = False  # whether it does not show each time


LINGER = (
    "close returns when the near runner has the bytes: were its acknowledgement held back until the far kernel has "
    "them, each such close would wait for a retransmission, 200 ms"
)

# What makes it private, and what follows from how it is made.
KNOWN = [
    Known(
        "OutsideAddress", EVERYWHERE, "EPERM: that is what private means; `egress` opens what is listed",
        only=("client: connect",),
    ),
    Known("OutsideIPv6", EVERYWHERE, "EPERM: the same", only=("client: connect",)),
    Known("UDP", EVERYWHERE, "EPERM: there is no UDP", only=("client: sendto", "server: arrived")),
    Known(
        "IPOptions", EVERYWHERE,
        "EPERM: a source route would lead past the address that connect() was asked for",
        only=("client: setsockopt",),
    ),
    Known(
        "DontRoute", EVERYWHERE, "ENETUNREACH: the range is behind a gateway, as with hosts of two networks",
        only=("client: connect",),
    ),
    Known(
        "Congestion", EVERYWHERE,
        "IST connections begin with Reno, whatever the host's default is; a program may set another",
        only=("client: the host's default", "server: the host's default"),
    ),
    Known(
        "MPTCPBoth", [ACROSS], "the relays speak TCP with both programs, and MPTCP falls back to it",
        only=("client: fell back to TCP", "server: fell back to TCP"),
    ),
    Known(
        "Listed", [ONE_RUNNER], "connect() was given the instance's address, which the kernel's own list has",
        only=("client: listed",),
    ),
    Known(
        "Signed", [ACROSS], "the segments that each end sees are the relay's, which has no key to sign them with",
        only=("client: connect", "server: poll"),
    ),
    Known(
        "SmallBufferLater", EVERYWHERE,
        "a segment within a runner has up to 64 KiB, which writes of 1 to 16 KiB are up to twice as fast for; one that the "
        "whole window has no room for is sent by the persist timer, a window each 200 ms",
        only=("client: recv: time", "server: recv: time"),
    ),
    Known(
        "SmallSegments", [ACROSS], "the near end is the relay's: segments are as large as the link to it takes",
        only=("client: TCP_MAXSEG at most 500",),
    ),
    Known("LingerStalled", [ACROSS], LINGER, sometimes=True),
    Known("LingerFar", [ACROSS], LINGER),
    Known("CutLinger", [ACROSS], LINGER),
    Known(
        "CutUserTimeout", [ACROSS],
        "the timer runs for what is not acknowledged: a cut is noticed after 2.5 s, and what is sent in these the near "
        "runner's kernel has acknowledged; for what is sent later it runs",
        only=("client: recv",),
    ),
    Known(
        "CutConnectWaits", [ACROSS],
        "what the near runner asked for before it gave up reaches the far one once the wire is mended, and opens a "
        "connection there that is reset, where the wire was cut within a round trip of the end of another stream and "
        "no other tunnel was free",
        sometimes=True,
    ),
]
