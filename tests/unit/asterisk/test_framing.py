import pytest

from amiguard.asterisk.framing import MAX_BLOCK, FrameError, Framer

BANNER = b"Asterisk Call Manager/11.0.0\r\n"


def framer() -> Framer:
    made = Framer()
    made.feed(BANNER)
    return made


def test_blocks_come_out_whole_and_in_order() -> None:
    made = framer()

    assert made.feed(b"A: 1\r\n\r\nB: 2\r\nC: 3\r\n\r\nD") == [b"A: 1", b"B: 2\r\nC: 3"]
    assert not made.idle
    assert made.feed(b": 4\r\n\r\n") == [b"D: 4"]
    assert made.idle


def test_a_block_end_that_is_split_anywhere_is_found() -> None:
    data = b"A: 1\r\n\r\nB: 2\r\n\r\n"
    for cut in range(len(data)):
        made = framer()

        assert made.feed(data[:cut]) + made.feed(data[cut:]) == [b"A: 1", b"B: 2"]


@pytest.mark.parametrize("text", [b"\r", b"\n", b"\n\n", b"\x0b\x0c", "\u2028\u0085".encode(), b"\r\n\n", b"\r\r\n"])
def test_only_crlf_crlf_ends_a_block(text: bytes) -> None:
    assert framer().feed(b"A: " + text + b"B\r\n\r\n") == [b"A: " + text + b"B"]


@pytest.mark.parametrize("stray", [b"\r\n", b"\n", b"\r\n\r\n\r\n", b"\r\n\r\n\n"])
def test_a_stray_line_end_between_blocks_shifts_nothing(stray: bytes) -> None:
    assert framer().feed(b"A: 1\r\n\r\n" + stray + b"B: 2\r\n\r\n") == [b"A: 1", b"B: 2"]


def test_the_banner_may_arrive_in_pieces() -> None:
    made = Framer()
    for byte in BANNER[:-1]:
        assert made.feed(bytes([byte])) == []
        assert made.banner is None
    made.feed(BANNER[-1:])

    assert made.banner == b"Asterisk Call Manager/11.0.0"


@pytest.mark.parametrize("greeting", [b"SSH-2.0-x\r\n", b"H", b"HTTP/1.1 400\r\n", b"\r\n", b"Asterisk Call Man\r\n"])
def test_a_peer_that_is_no_asterisk_is_refused_at_once(greeting: bytes) -> None:
    with pytest.raises(FrameError, match="not an Asterisk manager"):
        Framer().feed(greeting)


def test_a_banner_without_an_end_is_refused() -> None:
    with pytest.raises(FrameError, match="no end"):
        Framer().feed(b"Asterisk Call Manager/" + b"1" * 1000)


def test_a_block_of_a_megabyte_is_taken_and_a_longer_one_refused() -> None:
    made = framer()
    long = b"A: " + b"x" * (MAX_BLOCK - 10)

    assert made.feed(long + b"\r\n\r\n") == [long]
    with pytest.raises(FrameError, match="longer"):
        made.feed(b"x" * (MAX_BLOCK + 1))
