"""The arithmetic of `Upstash-Retry-Delay`, over one variable: `retried`."""

import ast
import math
import operator
from collections.abc import Callable

LONGEST = 256
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: math.fmod,
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
# a function's name -> how many arguments it takes, and what it does
_FUNCTIONS: dict[str, tuple[int, Callable[..., float]]] = {
    "pow": (2, math.pow),
    "sqrt": (1, math.sqrt),
    "abs": (1, abs),
    "exp": (1, math.exp),
    "floor": (1, math.floor),
    "ceil": (1, math.ceil),
    "round": (1, lambda x: math.floor(x + 0.5)),
    "min": (2, min),
    "max": (2, max),
}


def evaluate(expression: str, retried: int) -> float:
    """Return the value of `expression` with `retried` retries done: finite and not negative.

    ValueError if it is not such arithmetic, or has no such value.
    """
    if len(expression) > LONGEST:
        raise ValueError(f"expected an expression of at most {LONGEST} characters")
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body, float(retried))
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot evaluate {expression!r}: {error}") from error
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"expected a delay of 0 or more, got {value} from {expression!r}")
    return value


def _value(node: ast.expr, retried: float) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id="retried"):
            return retried
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand, retried))
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, retried), _value(right, retried))
        case ast.Call(ast.Name(id=name), arguments, []) if name in _FUNCTIONS:
            count, function = _FUNCTIONS[name]
            if len(arguments) != count:
                raise ValueError(f"{name} takes {count} arguments, got {len(arguments)}")
            return float(function(*(_value(argument, retried) for argument in arguments)))
    raise ValueError(
        "expected numbers, retried, + - * / %, pow, sqrt, abs, exp, floor, ceil, "
        f"round, min or max, got {ast.unparse(node)!r}"
    )
