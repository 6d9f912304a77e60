"""The options of `compressor compress` that say which files it takes and where their results go.

Those that decide what is written are given on the command line only: `in_place = true` in a configuration file is meant
for a batch run, and must not make `compress` replace files.
"""

from typing import Annotated

import typer

from compressor.cli.options import option, size

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="IN...", help="Images; - for standard input; with -r, folders of images too.", show_default=False
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Compress the images in folders and in the folders below them.")
]
Out = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="Result of one image: a file whose suffix names the format, a folder, or - for standard output. Default: "
        "NAME.compressed.SUFFIX next to each input.",
        show_default=False,
    ),
]
OutputDir = Annotated[
    str | None,
    typer.Option(
        "--output-dir",
        help="Folder of the results, made if it is missing; the folders below a folder IN are made in it.",
        metavar="DIR",
        show_default=False,
    ),
]
NameSuffix = Annotated[
    str | None,
    typer.Option(
        "--suffix",
        help="What the name of a result gets before its .jpg.",
        metavar="TEXT",
        show_default=".compressed; none with --output-dir",
    ),
]
ReplaceSource = Annotated[
    bool,
    typer.Option(
        "--in-place",
        help="Replace each image by its result if that is smaller; losslessly, unless --quality, --target-score or "
        "--max-bytes is given.",
    ),
]
KeepOriginal = Annotated[
    bool, typer.Option("--keep-original", help="With --in-place: keep what is replaced, as NAME.orig.SUFFIX.")
]
PreserveTimes = Annotated[
    bool,
    typer.Option(
        "--preserve-times", "-p", envvar="COMPRESSOR_PRESERVE_TIMES", show_envvar=False,
        help="Give results the modification times of their inputs.",
    ),
]  # fmt: skip
WriteNothing = Annotated[
    bool, typer.Option("--dry-run", help="Compress, and show what would be saved, but write nothing.")
]
Jobs = Annotated[
    int | None,
    option("jobs", "Images that are compressed at once.", metavar="N", show_default="the number of cores"),
]
ImagesMemory = Annotated[
    int | None,
    option(
        "memory_budget",
        "Memory that these images together may reserve; others wait.",
        parser=size,
        metavar="SIZE",
        show_default="half of the machine's",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print also what was decided: route, memory, CPU time of each stage.")
]
JsonReports = Annotated[bool, typer.Option("--json", help="Print a line of JSON for each image instead of text.")]
