"""What came of the operations of one request, in upstream's words."""

from urllib.parse import quote

from ...http import report
from ...http.request import Request
from ...http.response import Refusal

CREDENTIALS = ("x-auth-token", "x-storage-token", "x-service-token")


class Outcome:
    """`counts`: by what is counted, as the report has it."""

    def __init__(self, status: int, *counts: str) -> None:
        self.status = status
        self.body = ""
        self.counts = dict.fromkeys(counts, 0)
        self.errors: list[tuple[str, str]] = []
        self._worst = 400

    def fail(self, name: str, status: int) -> None:
        """One operation did not come off."""
        if status >= 500:
            self._worst = 502
        self.errors.append((quote(name, errors="surrogateescape"), report.status_line(status)))

    def refuse(self, refused: Refusal) -> None:
        """All that was not done yet is not done."""
        self.status = refused.status
        self.body = report.sentence(refused.response())

    def end(self, nothing_done: str) -> None:
        """All was tried. `nothing_done`: what to say when there was nothing to do."""
        if self.errors:
            self.status = self._worst
        elif not any(self.counts.values()):
            self.status, self.body = 400, nothing_done

    def facts(self) -> dict[str, object]:
        status = report.status_line(self.status)
        return {"Response Status": status, "Response Body": self.body, **self.counts}


def as_client(request: Request, asked: Request) -> Request:
    """A request of the store's own that may do what the client may, and nothing else."""
    asked.is_inner = False
    asked.headers |= {name: request.headers[name] for name in CREDENTIALS if name in request.headers}
    return asked


def is_nameable(path: str) -> bool:
    """Whether a client could have said this path."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in path
