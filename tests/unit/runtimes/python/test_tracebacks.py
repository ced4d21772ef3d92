from runtimes.python.plat_runtime import http1, tracebacks


def error_of(raiser: object) -> BaseException:
    try:
        raiser()  # type: ignore[operator]
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def ours() -> None:
    http1.parse_head(b"nonsense\r\n\r\n")


def caused() -> None:
    try:
        ours()
    except http1.BadRequestError as error:
        raise KeyError("outer") from error


def test_our_frames_are_cut_and_the_users_stay() -> None:
    text = tracebacks.user_traceback(error_of(ours))
    assert "in ours" in text
    assert "in parse_head" not in text
    assert text.endswith("BadRequestError: The request line is not one of HTTP/1.1.\n")


def test_also_from_causes() -> None:
    text = tracebacks.user_traceback(error_of(caused))
    assert text.count("Traceback (most recent call last)") == 2
    assert "The above exception was the direct cause" in text
    assert "in parse_head" not in text


def test_and_from_groups() -> None:
    group = BaseExceptionGroup("several", [ValueError("one"), error_of(ours)])
    text = tracebacks.user_traceback(group)
    assert "one" in text and "in ours" in text
    assert "in parse_head" not in text


def test_an_error_with_our_frames_only_has_no_stack() -> None:
    error = error_of(lambda: None if False else http1.parse_head(b"x\r\n\r\n"))
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert not tracebacks.has_user_frame(error.__traceback__)
    assert "Traceback" not in tracebacks.user_traceback(error)
    assert tracebacks.has_user_frame(error_of(ours).__traceback__)
