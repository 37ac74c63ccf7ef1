"""What a function's file says of it: signature, first sentence and lines, read without running it.

The page shows what one would read there, and a module that cannot be imported is no reason to leave it out.
"""

import ast
import functools
from pathlib import Path
from typing import NamedTuple

import mi203jax

ROOT = Path(mi203jax.__file__).parent.parent


class Source(NamedTuple):
    """A function, a class or a constant as its file has it."""

    name: str
    path: Path  # below the folder that holds the package
    line: int
    signature: str  # "(x, w, *, stride=1)"; "": it is no function
    summary: str  # the first line of its docstring
    code: str  # its lines


def source_of(dotted: str) -> Source:
    """What stands in the file.

    Args:
        dotted: such as "mi203jax.nn.conv.conv2d".

    Raises:
        LookupError: if the module is not there, or does not define the name itself.
    """
    module, _, name = dotted.rpartition(".")
    path = path_of(module)
    if not (ROOT / path).is_file():
        raise LookupError(f"{module} is not there")
    body, lines = _body(ROOT / path)
    for i, node in enumerate(body):
        if name in _names(node):
            after = body[i + 1 : i + 2]
            code = "\n".join(lines[_first(node) - 1 : node.end_lineno])
            return Source(name, path, node.lineno, _signature(node), _summary(node, after), code)
    raise LookupError(f"{module} does not define {name}")


def path_of(module: str) -> Path:
    """`"mi203jax.nn.conv"` -> `mi203jax/nn/conv.py`; of a package its `__init__.py`."""
    path = Path(*module.split("."))
    return path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")


@functools.lru_cache(maxsize=64)
def _body(path: Path) -> tuple[list[ast.stmt], list[str]]:
    """What stands in a file, parsed and as lines."""
    text = path.read_text(encoding="utf-8")
    return ast.parse(text, str(path)).body, text.split("\n")


def _first(node: ast.stmt) -> int:
    """The line where it begins, with what decorates it."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [t.id for t in targets if isinstance(t, ast.Name)]


def _signature(node: ast.stmt) -> str:
    """Of a function without types, which its docstring explains; of a class its fields."""
    if isinstance(node, ast.ClassDef):
        fields = [s for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
        words = [ast.unparse(f.target) + (f"={ast.unparse(f.value)}" if f.value else "") for f in fields]
        return f"({', '.join(words)})" if words else ""
    if not isinstance(node, ast.FunctionDef):
        return ""
    bare = ast.parse(ast.unparse(node.args).join(("def f(", "): ..."))).body[0]
    for argument in ast.walk(bare):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    assert isinstance(bare, ast.FunctionDef)
    return f"({ast.unparse(bare.args)})"


def _summary(node: ast.stmt, after: list[ast.stmt]) -> str:
    """The first line of a docstring, which of a constant stands below it."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return (ast.get_docstring(node) or "").split("\n")[0]
    text = after[0].value if after and isinstance(after[0], ast.Expr) else None
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return text.value.strip().split("\n")[0]
    return ""
