"""A check, and working a list of them off: each stands alone, but for what it needs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from lib.doctor.finding import Finding, State, Verdict, wrong
from lib.errors import SettingError, Unavailable
from lib.store.database import DATA_ERRORS, asking

BARRED = {State.WRONG, State.UNCHECKED}


@dataclass(frozen=True)
class Check[Patient]:
    """Looks at one thing. It makes sense only where the checks it comes `after` found no fault."""

    name: str
    look: Callable[[Patient], Awaitable[Verdict]]
    after: tuple[str, ...] = ()
    remedy: str = ""
    """What helps where looking itself fails."""


async def examine[Patient](
    checks: Sequence[Check[Patient]], patient: Patient
) -> AsyncIterator[Finding]:
    """Yield what each check finds, in order; what fails is a finding, too."""
    barred: set[str] = set()
    for check in checks:
        barring = [name for name in check.after if name in barred]
        if barring:
            finding = Finding(
                check.name, State.UNCHECKED, f"not checked, for {barring[0]} is wrong"
            )
        else:
            finding = (await _looked(check, patient)).of(check.name)
        if finding.state in BARRED:
            barred.add(check.name)
        yield finding


async def _looked[Patient](check: Check[Patient], patient: Patient) -> Verdict:
    try:
        with asking():
            return await check.look(patient)
    except DATA_ERRORS as error:
        return wrong(f"postgres: {error}", check.remedy)
    except SettingError:
        return Verdict(State.UNCHECKED, "not checked, for settings are wrong")
    except Unavailable as error:
        return wrong(str(error), check.remedy)
