"""The commands against a control API in memory: what they print, and how they end."""

import asyncio
import json
import socket
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from plat.model import FunctionSpec, Scale, Window
from tests.integration.cli.fake_control import TOKEN, TRACEBACK, FakeControl, running

MAIN = [sys.executable, "-m", "cli.main"]


class Ended(Struct):
    """How a command line ended."""

    code: int
    out: str
    err: str


Plat = Callable[..., Awaitable[Ended]]


@pytest.fixture
def control() -> FakeControl:
    control = FakeControl()
    control.add("hello", "ready", "failed", "ready")
    control.add("thumbnail")
    return control


@pytest.fixture
async def url(control: FakeControl) -> AsyncIterator[str]:
    async with running(control) as address:
        yield address


@pytest.fixture
def environ(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLAT_CONFIG", raising=False)
    monkeypatch.setenv("PLAT_URL", url)
    monkeypatch.setenv("PLAT_TOKEN", TOKEN)
    for name in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))


@pytest.fixture
def plat(environ: None) -> Plat:
    async def run(*arguments: str, stdin: bytes = b"") -> Ended:
        process = await asyncio.create_subprocess_exec(
            *MAIN,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(errors="replace"), err.decode())

    return run


def a_function(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in ({"plat.toml": 'name = "new"\n', "main.py": ""} | files).items():
        (folder / name).write_text(content)
    return folder


class TestLooking:
    async def test_list(self, plat: Plat) -> None:
        ended = await plat("list")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines() == [
            "hello\tpython\tlive\t3\t0\t20\ttoken\thttp://plat/function/hello",
            "thumbnail\tpython\tnew\t-\t0\t20\ttoken\thttp://plat/function/thumbnail",
        ]

    async def test_list_as_json(self, plat: Plat) -> None:
        ended = await plat("list", "--json")
        assert [function["name"] for function in json.loads(ended.out)] == ["hello", "thumbnail"]

    async def test_an_empty_list_says_how_to_begin(self, control: FakeControl, plat: Plat) -> None:
        control.functions.clear()
        ended = await plat("list")
        assert (ended.code, ended.out) == (0, "")
        assert "plat init NAME" in ended.err

    async def test_show(self, plat: Plat) -> None:
        ended = await plat("show", "hello")
        function, versions, instances = (part.splitlines() for part in ended.out.split("\n\n"))
        assert "live\t3" in function
        assert "instances\t0 to 20" in function
        assert "idle\tpaused after 30 s, stopped after 60 s" in function
        assert [line.split("\t")[:4] for line in versions] == [
            ["3", "ready", "yes", "1.5 kB"],
            ["2", "failed", "no", "1.5 kB"],
            ["1", "ready", "no", "1.5 kB"],
        ]
        assert instances == ["0123456789abcdef\t3\tready\tprocess\tunlimited\t2\t2030-01-02 03:04:05"]

    async def test_show_as_json(self, plat: Plat) -> None:
        shown = json.loads((await plat("show", "hello", "--json")).out)
        assert (shown["function"]["live"], len(shown["versions"]), len(shown["instances"])) == (3, 3, 1)

    async def test_show_has_a_line_for_each_window(self, control: FakeControl, plat: Plat) -> None:
        windows = [Window("* 8-17 * * mon-fri", 2), Window("* * * * sat", 1)]
        spec = FunctionSpec(name="hello", scale=Scale(window=windows))
        control.functions["hello"] = msgspec.structs.replace(control.functions["hello"], spec=spec)
        lines = (await plat("show", "hello")).out.splitlines()
        assert "window\tat least 2 in * 8-17 * * mon-fri" in lines
        assert "window\tat least 1 in * * * * sat" in lines

    async def test_explain(self, plat: Plat) -> None:
        ended = await plat("explain", "hello")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines() == [
            "2030-01-02 03:04:05\t3\t1 waiting\tstart 1, stop 1: 01234567\t1 waited",
            "2030-01-02 03:04:05\t3\t2 waiting\tstart 2, stop 1: 01234567\t2 waited (2 times)",
        ]

    async def test_explain_as_json(self, plat: Plat) -> None:
        shown = json.loads((await plat("explain", "hello", "--json")).out)
        assert [(each["times"], each["inputs"]["queued"]) for each in shown] == [(1, 1), (2, 2)]
        assert shown[0]["stop"] == ["0123456789abcdef"]

    async def test_explain_where_nothing_was_decided(self, plat: Plat) -> None:
        ended = await plat("explain", "thumbnail")
        assert (ended.code, ended.out) == (0, "")
        assert ended.err == "Nothing was decided about thumbnail since the pool started.\n"

    async def test_logs(self, plat: Plat) -> None:
        ended = await plat("logs", "hello", "--tail", "2")
        lines = ended.out.splitlines()
        assert lines[0] == "03:04:05.678 v3 01234567   line 0 "
        assert lines[1].startswith("03:04:05.678 v3 01234567 ! line 1 xxx")

    async def test_logs_as_json_are_a_document_a_line(self, plat: Plat) -> None:
        ended = await plat("logs", "hello", "--tail", "2", "--json")
        assert [json.loads(line)["stream"] for line in ended.out.splitlines()] == ["stdout", "stderr"]

    async def test_a_followed_log_that_breaks_off_is_an_error(self, plat: Plat) -> None:
        ended = await plat("logs", "hello", "-f", "--tail", "1")
        assert (ended.code, ended.out) == (1, "03:04:05.678 v3 01234567   line 0 \n")
        assert "broke" in ended.err


class TestChanging:
    async def test_scale(self, plat: Plat) -> None:
        ended = await plat("scale", "hello", "--min", "2", "--max", "3")
        said = "hello has 2 to 3 instances; an idle one is paused after 30 s, stopped after 60 s.\n"
        assert (ended.code, ended.out) == (0, said)
        changed = await plat("scale", "hello", "--max", "7", "--json")
        assert json.loads(changed.out)["spec"]["scale"] == {
            "concurrency": 1,
            "min": 2,
            "max": 7,
            "idle_s": 60.0,
            "pause_after_s": 30.0,
            "window": [],
        }

    async def test_scale_to_no_pause(self, plat: Plat) -> None:
        ended = await plat("scale", "hello", "--pause-after", "60")
        assert (ended.code, ended.out) == (
            0,
            "hello has 0 to 20 instances; an idle one is stopped after 60 s.\n",
        )

    async def test_what_the_platform_refuses_is_a_failure(self, plat: Plat) -> None:
        ended = await plat("scale", "hello", "--min", "30")
        assert (ended.code, ended.err) == (1, "Error: min = 30: expected at most max, which is 20.\n")

    @pytest.mark.parametrize(
        "arguments", [[], ["--min", "-1"], ["--max", "0"], ["--min", "x"], ["--pause-after", "0"]]
    )
    async def test_what_it_need_not_be_asked_for_is_usage(self, plat: Plat, arguments: list[str]) -> None:
        ended = await plat("scale", "hello", *arguments)
        assert ended.code == 2
        assert ended.err.count("\n") == 1

    async def test_stop_and_start(self, control: FakeControl, plat: Plat) -> None:
        assert (await plat("stop", "hello")).out == "hello is stopped.\n"
        assert control.functions["hello"].stopped
        assert "\tstopped\t" in (await plat("list")).out
        assert (await plat("start", "hello")).out == "hello is started.\n"
        assert not control.functions["hello"].stopped

    async def test_rollback_goes_to_the_one_before_that_was_ready(self, plat: Plat) -> None:
        assert (await plat("rollback", "hello")).out == "Version 1 of hello is live.\n"
        ended = await plat("rollback", "hello")
        assert (ended.code, ended.err) == (1, "Error: hello has no version before 1 that can serve.\n")
        assert (await plat("rollback", "hello", "3")).out == "Version 3 of hello is live.\n"

    async def test_rollback_of_what_was_never_deployed(self, plat: Plat) -> None:
        ended = await plat("rollback", "thumbnail")
        assert (ended.code, ended.err) == (
            1,
            "Error: thumbnail has no live version to go back from: deploy one.\n",
        )

    async def test_delete_without_a_terminal_needs_yes(self, control: FakeControl, plat: Plat) -> None:
        ended = await plat("delete", "hello", stdin=b"y\n")
        assert (ended.code, "--yes" in ended.err, "hello" in control.functions) == (2, True, True)
        assert (await plat("delete", "hello", "--yes")).out == "hello is deleted.\n"
        assert "hello" not in control.functions


class TestErrors:
    @pytest.mark.parametrize("command", ["show", "explain", "logs", "stop", "start", "rollback"])
    async def test_an_unknown_function_suggests_the_nearest(self, plat: Plat, command: str) -> None:
        ended = await plat(command, "helo")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == 'Error: There is no function "helo". Did you mean "hello"?\n'

    async def test_as_json(self, plat: Plat) -> None:
        ended = await plat("show", "helo", "--json")
        error = json.loads(ended.err)
        assert (ended.code, error["code"], error["status"]) == (1, "function_not_found", 404)

    async def test_a_name_that_cannot_be_is_usage(self, plat: Plat) -> None:
        ended = await plat("show", "Hello")
        assert ended.code == 2
        assert "lower-case letters, digits and inner hyphens" in ended.err

    async def test_a_wrong_token_says_what_to_do(self, plat: Plat, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAT_TOKEN", "wrong")
        ended = await plat("list")
        assert (ended.code, ended.err.count("\n")) == (1, 1)
        assert "Set PLAT_TOKEN" in ended.err

    async def test_where_nothing_answers(self, plat: Plat, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{unused.getsockname()[1]}"
            monkeypatch.setenv("PLAT_URL", address)
            ended = await plat("list")
        assert (ended.code, ended.err) == (1, f"Error: Nothing answers at {address}: is `plat up` running?\n")

    async def test_a_wrong_config_file_is_named(
        self, plat: Plat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "config.toml"
        path.write_text("url = 3")
        monkeypatch.setenv("PLAT_CONFIG", str(path))
        ended = await plat("list")
        assert (ended.code, ended.err) == (2, f"Error: {path}: url = 3: expected text.\n")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["lst"], 'No command "lst". Did you mean "list"?'),
            (["deploy", "--foo"], "See `plat deploy --help`."),
            (["init"], "Missing argument"),
        ],
    )
    async def test_usage_is_one_line(self, plat: Plat, arguments: list[str], said: str) -> None:
        ended = await plat(*arguments)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert said in ended.err

    async def test_help_names_every_command_but_the_services(self, plat: Plat) -> None:
        ended = await plat("--help")
        assert ended.code == 0
        for shown in ("up", "init", "deploy", "invoke", "rollback", "completion"):
            assert f"\n  {shown} " in ended.out
        for hidden in ("router", "core", "builder"):
            assert f"\n  {hidden} " not in ended.out


class TestDeploy:
    async def test_it_says_what_is_live_and_how_to_call_it(
        self, plat: Plat, url: str, tmp_path: Path
    ) -> None:
        ended = await plat("deploy", str(a_function(tmp_path / "new")))
        assert ended.code == 0
        assert ended.out.splitlines() == [
            "Version 1 of new is live.",
            f"{url}/function/new",
            f'curl -H "Authorization: Bearer $PLAT_TOKEN" {url}/function/new',
        ]
        assert [line.partition(" ")[0] for line in ended.err.splitlines()] == [
            "Packing…",
            "Uploading",
            "Starting…",
        ]

    async def test_unchanged(self, plat: Plat, control: FakeControl, tmp_path: Path) -> None:
        folder = str(a_function(tmp_path / "new"))
        await plat("deploy", folder)
        (tmp_path / "new" / "main.py").touch()
        ended = await plat("deploy", folder)
        assert ended.out.splitlines()[0] == "Unchanged: version 1 is live already."
        assert control.archives[0] == control.archives[1]

    async def test_as_json(self, plat: Plat, url: str, tmp_path: Path) -> None:
        toml = 'name = "new"\n[access]\nauth = "public"\n'
        ended = await plat("deploy", str(a_function(tmp_path / "new", **{"plat.toml": toml})), "--json")
        assert (ended.code, ended.err) == (0, "")
        assert json.loads(ended.out) == {
            "function": "new",
            "version": 1,
            "unchanged": False,
            "url": f"{url}/function/new",
            "curl": f"curl {url}/function/new",
        }

    async def test_the_printed_curl_line_works(self, plat: Plat, tmp_path: Path) -> None:
        ended = await plat("deploy", str(a_function(tmp_path / "new")), "--json")
        curl = json.loads(ended.out)["curl"] + " --silent --fail"
        process = await asyncio.create_subprocess_shell(curl, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert (process.returncode, out) == (0, b"nothing")

    async def test_a_handler_that_fails_shows_the_user_s_traceback(self, plat: Plat, tmp_path: Path) -> None:
        ended = await plat("deploy", str(a_function(tmp_path / "new", **{"broken.py": ""})))
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.endswith(f"Error: Importing main failed.\n{TRACEBACK}\n")

    @pytest.mark.parametrize(
        ("toml", "said"),
        [
            ('name = "New"', 'name = "New": expected lower-case letters'),
            ('name = "new"\nruntim = "python"', 'Unknown key "runtim". Did you mean "runtime"?'),
            (
                'name = "new"\n[scale]\nmax = 1001',
                "scale.max = 1001: expected a whole number from 1",
            ),
        ],
    )
    async def test_a_wrong_plat_toml_is_usage_and_nothing_is_sent(
        self, plat: Plat, control: FakeControl, tmp_path: Path, toml: str, said: str
    ) -> None:
        ended = await plat("deploy", str(a_function(tmp_path / "new", **{"plat.toml": toml})))
        assert ended.code == 2
        assert said in ended.err
        assert "new" not in control.functions

    async def test_a_folder_that_is_none(self, plat: Plat, tmp_path: Path) -> None:
        ended = await plat("deploy", str(tmp_path / "nowhere"))
        assert (ended.code, "is no folder" in ended.err) == (2, True)

    async def test_what_pip_said_is_shown(self, plat: Plat, tmp_path: Path) -> None:
        folder = a_function(tmp_path / "new", **{"requirements.txt": "./not-there\n"})
        ended = await plat("deploy", str(folder))
        assert ended.code == 1
        assert "pip could not install the dependencies" in ended.err
        assert "not-there" in ended.err

    async def test_dependencies_are_packed_below_vendor(
        self, plat: Plat, control: FakeControl, tmp_path: Path
    ) -> None:
        wheel = a_wheel(tmp_path)
        folder = a_function(tmp_path / "new", **{"requirements.txt": f"{wheel}\n"})
        for _ in range(2):
            ended = await plat("deploy", str(folder))
            assert (ended.code, ended.err.splitlines()[0]) == (0, "Packing…")
        assert control.archives[0] == control.archives[1]
        assert b"vendor/own_package.py" in control.archives[0]
        assert "Installing" not in ended.err


def a_wheel(folder: Path) -> Path:
    """A wheel, made by hand: pip can install it without asking anybody."""
    path = folder / "own_package-1-py3-none-any.whl"
    info = "own_package-1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("own_package.py", "VALUE = 1\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: own-package\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


class TestInvoke:
    async def test_the_body_goes_to_stdout_as_it_is(self, control: FakeControl, plat: Plat) -> None:
        ended = await plat("invoke", "hello", "-d", '{"a": 1}')
        assert (ended.code, ended.out, ended.err) == (0, '{"a": 1}', "")
        [(method, path, headers, _)] = control.calls
        assert (method, path, headers["Content-Type"]) == ("POST", "/function/hello", "application/json")

    async def test_without_data_it_is_a_get(self, control: FakeControl, plat: Plat) -> None:
        await plat("invoke", "hello", "--path", "/a?b=c", "--version", "3", "-H", "X-Mine: 1")
        [(method, path, headers, body)] = control.calls
        assert (method, path, headers["X-Mine"], body) == ("GET", "/function/hello:3/a?b=c", "1", b"")

    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            (b"[1]", "application/json"),
            (b"plain", "text/plain; charset=utf-8"),
            (b"\xff\x00", "application/octet-stream"),
            (b"", "text/plain; charset=utf-8"),
        ],
    )
    async def test_stdin_and_files(
        self, control: FakeControl, plat: Plat, tmp_path: Path, data: bytes, kind: str
    ) -> None:
        path = tmp_path / "body"
        path.write_bytes(data)
        await plat("invoke", "hello", "-d", f"@{path}", "-X", "put")
        await plat("invoke", "hello", "-d", "-", stdin=data)
        assert [(call[0], call[2]["Content-Type"], call[3]) for call in control.calls] == [
            ("PUT", kind, data),
            ("POST", kind, data),
        ]

    async def test_a_content_type_that_was_given_counts(self, control: FakeControl, plat: Plat) -> None:
        await plat("invoke", "hello", "-d", "{}", "-H", "content-type: text/csv")
        assert control.calls[0][2]["Content-Type"] == "text/csv"

    async def test_an_answer_from_400_on_is_a_failure_with_its_body(self, plat: Plat) -> None:
        ended = await plat("invoke", "hello", "--path", "/teapot")
        assert (ended.code, ended.out, ended.err) == (1, "I am a teapot.", "Error: hello answered 418.\n")

    async def test_a_problem_of_the_platform_goes_to_stderr(self, plat: Plat) -> None:
        ended = await plat("invoke", "hello", "--path", "/missing")
        assert (ended.code, ended.out) == (1, "")
        assert 'no function "missing"' in ended.err

    @pytest.mark.parametrize("arguments", [["-d", "@nowhere"], ["-H", "no colon"], ["--version", "0"]])
    async def test_usage(self, plat: Plat, arguments: list[str]) -> None:
        ended = await plat("invoke", "hello", *arguments)
        assert (ended.code, ended.err.count("\n")) == (2, 1)


class TestPipes:
    async def test_a_reader_that_goes_away_is_no_error(self, control: FakeControl, environ: None) -> None:
        command = f"{sys.executable} -m cli.main logs hello --tail 30 | head -c 10"
        process = await asyncio.create_subprocess_shell(
            command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert (out, err) == (b"03:04:05.6", b"")
