"""Files are written completely or not at all, and errors tell the fix."""

import errno
import os
import stat
import sys

import pytest

from deepsvdd.files import (
    WriteError,
    atomic_write,
    cannot_write,
    growing_text,
    part_of,
    refuse_output_as_input,
    require_writable,
    sha256_of,
)


def failing(number):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".tmp-")]


def test_writes_into_missing_folders(tmp_path):
    path = tmp_path / "a" / "b" / "table.csv"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["table.csv"]


def test_temporary_is_a_new_name_in_the_same_folder_with_the_same_suffix(tmp_path):
    path = tmp_path / "figure.png"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        assert first.parent == second.parent == tmp_path
        assert first.suffix == ".png"
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() == "1"


def test_accepts_a_string_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_write("plain") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "plain").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_old_file_and_no_litter(tmp_path, error):
    path = tmp_path / "model"
    path.write_text("old")

    def write():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no space left on the device; free some space or choose"),
        (errno.EDQUOT, "the disk quota is exceeded; free some space"),
        (errno.EACCES, "permission denied; choose a folder that you may write to"),
        (errno.EROFS, "the file system is read-only; choose a folder that you may"),
        (errno.EIO, "choose another folder"),
    ],
)
@pytest.mark.parametrize("where", ["os.replace", "os.fsync", "pathlib.Path.mkdir"])
def test_operating_system_errors_become_one_sentence(
    tmp_path, monkeypatch, where, number, message
):
    path = tmp_path / "x" / "model.safetensors"
    path.parent.mkdir()
    path.write_text("old")
    monkeypatch.setattr(where, failing(number))
    with pytest.raises(OSError) as caught, atomic_write(path) as temporary:  # noqa: PT011
        temporary.write_text("new")
    assert isinstance(caught.value, WriteError)
    assert caught.value.errno == number
    assert caught.value.filename == str(path)
    assert str(caught.value).startswith(f"cannot write '{path}': ")
    assert message in str(caught.value)
    assert path.read_text() == "old"
    assert leftovers(path.parent) == []


def test_the_message_names_the_path_as_the_user_wrote_it():
    error = cannot_write("x/model", OSError(errno.ENOSPC, "No space left on device"))
    assert str(error) == (
        "cannot write 'x/model': no space left on the device; "
        "free some space or choose another folder"
    )


def test_a_folder_in_the_place_of_the_file(tmp_path):
    with (
        pytest.raises(WriteError, match="choose another file name") as caught,
        atomic_write(tmp_path) as temporary,
    ):
        temporary.write_text("never reached")
    assert caught.value.errno == errno.EISDIR


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "y" / "x"):
        with (
            pytest.raises(WriteError, match="a file stands where a folder is needed"),
            atomic_write(path) as temporary,
        ):
            temporary.write_text("never reached")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX devices")
def test_devices_are_not_replaced():
    with pytest.raises(WriteError, match="regular file"), atomic_write(os.devnull):
        pass


@pytest.mark.skipif("os.geteuid() == 0", reason="root may write anywhere")
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with (
        pytest.raises(WriteError, match="permission denied") as caught,
        atomic_write(tmp_path / "x") as temporary,
    ):
        temporary.write_text("new")
    assert caught.value.errno == errno.EACCES


def test_nested_writes_report_the_inner_path(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", failing(errno.ENOSPC))
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    with (
        pytest.raises(WriteError) as caught,
        atomic_write(outer),
        atomic_write(inner) as temporary,
    ):
        temporary.write_text("new")
    assert str(caught.value).startswith(f"cannot write '{inner}': no space left")


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege")
def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "scratch").mkdir()
    link, file = tmp_path / "link", tmp_path / "scratch" / "file"
    link.symlink_to(file)
    with atomic_write(link) as temporary:
        assert temporary.parent == file.parent  # os.replace must not cross disks
        temporary.write_text("new")
    assert link.is_symlink()
    assert file.read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_permissions_are_those_of_any_new_file(tmp_path):
    with atomic_write(tmp_path / "atomic") as temporary:
        temporary.write_text("")
    (tmp_path / "usual").write_text("")
    modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("atomic", "usual")]
    assert modes[0] == modes[1]


def test_sha256_of_anything_with_bytes():
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert (
        sha256_of(b"") == sha256_of(bytearray()) == sha256_of(memoryview(b"")) == empty
    )


# ---------------------------------------------------------------- before and meanwhile


@pytest.mark.parametrize("kind", ["itself", "spelling", "symlink", "hard link"])
def test_an_output_that_is_an_input(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "model").write_text("old")
    output = {"itself": "model", "spelling": "folder/../model"}.get(kind, "link")
    if kind == "symlink":
        os.symlink("model", "link")
    if kind == "hard link":
        os.link("model", "link")
    with pytest.raises(ValueError, match=f"got '{output}', which is the input 'model'"):
        refuse_output_as_input(output, None, "other", "model")
    refuse_output_as_input("new", None, "other", "model")
    assert sorted(os.listdir()) == sorted(
        {"folder", "model", output} - {"folder/../model"}
    )


def test_an_output_that_would_be_an_input_not_there_yet(tmp_path):
    with pytest.raises(ValueError, match="which is the input"):
        refuse_output_as_input(tmp_path / "a", tmp_path / "b" / ".." / "a")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "it is not a regular file"),
        ("file/x", "a file stands where a folder is needed"),
        ("file/y/x", "a file stands where a folder is needed"),
        ("n" * 300, "cannot write"),
    ],
)
def test_what_cannot_be_written_is_known_before(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=message):
        require_writable(tmp_path / name)
    require_writable(tmp_path / "new" / "er" / "x")
    require_writable(tmp_path / "file")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.skipif("os.geteuid() == 0", reason="root may write anywhere")
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_folder_is_known_before(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="permission denied"):
        require_writable(tmp_path / "x")


def test_a_file_system_that_is_read_only_is_known_before(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", failing(errno.EROFS))
    with pytest.raises(WriteError, match="the file system is read-only"):
        require_writable(tmp_path / "x")


def test_a_growing_file_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    with growing_text(path) as file:
        file.write("a\n")
        file.flush()
        assert part_of(path).read_text() == "a\n"
        assert not path.exists()
    assert path.read_text() == "a\n"
    assert os.listdir(path.parent) == ["scores.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_growing_file_keeps_its_pieces(tmp_path, error):
    path = tmp_path / "scores.csv"
    path.write_text("old")

    def write():
        with growing_text(path) as file:
            file.write("a\n")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert part_of(path).read_text() == "a\n"


def test_a_growing_file_on_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", failing(errno.ENOSPC))
    with pytest.raises(WriteError, match="no space left"), growing_text(tmp_path / "x"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="names of bytes")
def test_names_that_are_not_utf8_keep_their_bytes(tmp_path):
    with growing_text(tmp_path / "x") as file:
        file.write(os.fsdecode(b"bad\xff"))
    assert (tmp_path / "x").read_bytes() == b"bad\xff"
