"""A generated source tree: the same bytes on every machine, for every run."""

import random

WORDS = ("volume inode entry block stripe batch session snapshot if else while return static const int "
         "struct char long size offset length index count error result buffer cache flush read write "
         "open close lock wait signal thread queue node list hash table key value").split()
FILES_PER_DIRECTORY = 25
MEDIAN_BYTES, SPREAD, LARGEST_BYTES = 6000, 1.1, 200_000


def generate(root, files, compiled_files):
    """`files` files of source-like text in directories, and a C project in `project`."""
    chance = random.Random(20260101)
    lines = [" ".join(chance.choices(WORDS, k=chance.randint(3, 14))) + ";\n" for _ in range(4000)]
    for index in range(files):
        directory = root / f"module{index // FILES_PER_DIRECTORY:03}"
        directory.mkdir(parents=True, exist_ok=True)
        size = min(LARGEST_BYTES, int(chance.lognormvariate(0, SPREAD) * MEDIAN_BYTES) + 1)
        text = f"// {index}\n"
        while len(text) < size:
            text += chance.choice(lines)
        (directory / f"source{index}.c").write_text(text)
    (root / "latest").symlink_to("module000")
    _generate_project(root / "project", compiled_files)


def _generate_project(project, count):
    """A program of `count` units that prints the sum of what each returns: `expected_output`."""
    project.mkdir(parents=True)
    for index in range(count):
        (project / f"unit{index}.c").write_text(
            '#include "units.h"\n#include <stdio.h>\n#include <string.h>\n'
            f"int unit{index}(void) {{ char text[64]; snprintf(text, sizeof text, \"%d\", {index});"
            f" return (int)strlen(text) + {index}; }}\n")
    (project / "units.h").write_text("".join(f"int unit{i}(void);\n" for i in range(count)))
    calls = " + ".join(f"unit{i}()" for i in range(count))
    (project / "main.c").write_text(
        f'#include "units.h"\n#include <stdio.h>\nint main(void) {{ printf("%d\\n", {calls}); }}\n')
    (project / "Makefile").write_text(
        "objects := $(patsubst %.c,%.o,$(wildcard *.c))\n"
        "program: $(objects)\n\tcc -o $@ $^\n%.o: %.c units.h\n\tcc -O1 -c -o $@ $<\n")


def expected_output(count):
    return f"{sum(index + len(str(index)) for index in range(count))}\n"
