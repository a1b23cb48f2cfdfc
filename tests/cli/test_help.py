"""What a user sees first: the commands for spectra before those for people who build."""

import re

from typer.testing import CliRunner

from specnb.cli import app, options

SPECTRA = ("denoise", "infer", "plot", "validate")
BUILDERS = ("run", "book", "verdict", "answer", "train", "yardstick", "ablate", "emulator", "grid")


def shown(*words):
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output


def commands(text):
    return re.findall(r"^│ ([a-z]+) ", text, re.MULTILINE)


def test_commands_for_spectra_come_first_and_the_others_under_a_heading_of_their_own():
    _, spectra, builders = re.split("|".join((options.SPECTRA, options.BUILDERS)), shown())
    assert tuple(commands(spectra)) == SPECTRA
    assert tuple(commands(builders)) == BUILDERS


def test_groups_have_their_commands():
    assert commands(shown("emulator")) == ["train", "compare", "correct"]
    assert commands(shown("grid")) == ["sources", "build", "check", "pack", "calibrate"]


def test_every_option_is_explained():
    """A line with an option ends with words, not with its type."""
    names = [(name,) for name in (*SPECTRA, *BUILDERS[:-2])]
    names += [("emulator", name) for name in ("train", "compare")]
    names += [("grid", name) for name in ("sources", "build", "check", "pack")]
    for words in names:
        for line in shown(*words).splitlines():
            if re.match(r"│ +\*? +(-|[a-z]+ +<)|│ --", line):
                assert re.search(
                    r"> +(\[x>=1\] +)?[^ │\[]|--(help|curve|json|overwrite|progress|force)", line
                ), (
                    words,
                    line,
                )


def test_a_mistake_is_a_sentence(tmp_path):
    result = CliRunner().invoke(app, ["train", "--name", "resnet", "-o", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.startswith("name is 'resnet'; choose one of")
    assert len(result.stderr.splitlines()) == 1
