"""List files, prompt files and calendars."""

from __future__ import annotations

import struct
from datetime import date
from pathlib import Path

import pytest

from kommutator.company import load
from kommutator.company.calendars import YEARS, calendar
from kommutator.company.list_file import BadListFile, read_rows
from kommutator.company.prompts import BadPrompt, wav_seconds

from .conftest import CARD, Write, write_wav


class TestListFiles:
    @pytest.mark.parametrize(
        ("text", "rows"),
        [
            ("89161230011\n+7 (916) 123-00-12\n", [(1, "89161230011"), (2, "+7 (916) 123-00-12")]),
            ("Клиент;Телефон\nООО «Ромашка»;89161230011\n", [(2, "89161230011")]),
            ("номер\n\n89161230011\n", [(3, "89161230011")]),
            ("name,phone,note\nA,89161230011,x\nB,,y\nC,nonsense,z\n", [(2, "89161230011"), (4, "nonsense")]),
            ("a\tphone\nb\t1\n", [(2, "1")]),
            ('phone;note\n1;"two\nlines"\n2;x\n', [(2, "1"), (4, "2")]),
            ("89161230011\r\n89161230012\r\n", [(1, "89161230011"), (2, "89161230012")]),
            ("", []),
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
    def test_rows_with_their_lines(self, tmp_path: Path, text: str, rows: list[tuple[int, str]], encoding: str) -> None:
        file = tmp_path / "list.csv"
        file.write_bytes(text.encode(encoding))
        assert read_rows(file) == rows

    def test_binary_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_bytes(b"\xff\x98\x00")
        with pytest.raises(BadListFile):
            read_rows(tmp_path / "list.csv")


class TestPromptFiles:
    @pytest.mark.parametrize(("seconds", "rate"), [(2.5, 8000), (0.125, 16000), (61, 8000)])
    def test_length(self, tmp_path: Path, seconds: float, rate: int) -> None:
        write_wav(tmp_path / "p.wav", seconds, rate)
        assert wav_seconds(tmp_path / "p.wav") == seconds

    def test_a_header_written_to_a_pipe_states_no_true_length(self, tmp_path: Path) -> None:
        write_wav(tmp_path / "p.wav", 2)
        data = bytearray((tmp_path / "p.wav").read_bytes())
        data[4:8] = data[40:44] = struct.pack("<I", 0x7FFFF000)
        (tmp_path / "p.wav").write_bytes(data)
        assert wav_seconds(tmp_path / "p.wav") == 2

    def test_no_linear_pcm(self, tmp_path: Path) -> None:
        write_wav(tmp_path / "p.wav", 2)
        data = bytearray((tmp_path / "p.wav").read_bytes())
        data[20:22] = struct.pack("<H", 6)
        (tmp_path / "p.wav").write_bytes(data)
        with pytest.raises(BadPrompt, match="linear PCM: unknown format: 6"):
            wav_seconds(tmp_path / "p.wav")

    @pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"ID3 an mp3 perhaps"])
    def test_no_wav(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "p.wav").write_bytes(data)
        with pytest.raises(BadPrompt):
            wav_seconds(tmp_path / "p.wav")

    def test_no_sound(self, tmp_path: Path) -> None:
        write_wav(tmp_path / "p.wav", 0)
        with pytest.raises(BadPrompt, match="no sound"):
            wav_seconds(tmp_path / "p.wav")

    def test_every_cut_of_a_file_is_read_or_refused(self, tmp_path: Path) -> None:
        write_wav(tmp_path / "p.wav", 0.01)
        data = (tmp_path / "p.wav").read_bytes()
        for length in range(len(data)):
            (tmp_path / "p.wav").write_bytes(data[:length])
            try:
                assert 0 < wav_seconds(tmp_path / "p.wav") < 0.01
            except BadPrompt:
                assert length < 46


class TestFilesNamedInTheDocument:
    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("../p.wav", "outside_folder"),
            ("prompts/../../p.wav", "outside_folder"),
            ("/etc/passwd", "outside_folder"),
            ("link.wav", "outside_folder"),
            ("prompts", "missing_file"),
            ('"a\\0b"', "missing_file"),
            ("x" * 5000, "missing_file"),
            ("circle.wav", "missing_file"),
        ],
    )
    def test_refused(self, write: Write, tmp_path: Path, name: str, code: str) -> None:
        file = write("company/company.yaml", CARD + f"prompts: {{p: {{file: {name}}}}}")
        write_wav(tmp_path / "p.wav", 1)
        (tmp_path / "company/prompts").mkdir()
        (tmp_path / "company/link.wav").symlink_to(tmp_path / "p.wav")
        (tmp_path / "company/circle.wav").symlink_to(tmp_path / "company/circle.wav")
        assert [finding["code"] for finding in load(file).findings] == [code]

    def test_subfolders_are_allowed(self, write: Write, tmp_path: Path) -> None:
        write_wav(tmp_path / "prompts/ru/p.wav", 1)
        company = load(write("company.yaml", CARD + "prompts: {p: {file: prompts/ru/p.wav}}"))
        assert company.findings == []
        assert company.document["prompts"] == {"p": {"seconds": 1.0}}


class TestCalendars:
    def test_days_off_and_moved_workdays_of_russia(self) -> None:
        days = calendar("RU", "ru")
        assert days is not None
        closed, workdays = days["closed"], days["workdays"]
        assert closed["2026-03-09"] == "Международный женский день (выходной)"
        assert closed["2024-04-29"] == "Выходной (перенесено с 27.04.2024)"
        assert {"2024-04-27", "2024-11-02", "2024-12-28"} <= set(workdays)
        assert not set(closed) & set(workdays)
        assert all(date.fromisoformat(day).year in YEARS for day in [*closed, *workdays])
        assert list(closed) == sorted(closed)

    def test_names_in_the_companys_language(self) -> None:
        russian, english = calendar("RU", "ru"), calendar("RU", "en")
        assert russian is not None and english is not None
        assert english["closed"]["2026-05-09"] == "Victory Day"
        assert russian["closed"]["2026-05-09"] == "День Победы"
        assert english["closed"].keys() == russian["closed"].keys()
        assert english["workdays"] == russian["workdays"]

    def test_a_country_without_calendar(self) -> None:
        assert calendar("XX", "ru") is None
        assert calendar("", "ru") is None
