"""Work repeated at few shapes: recorded once for each of the most frequent, then replayed.

A network is thousands of launches on a GPU, and small images are finished sooner than they can be
launched. A CUDA graph launches them all at once, but for one shape alone, and it holds its memory.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, Generic, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor

T = TypeVar("T")

EAGER_USES: Final = 3  # of a shape, before it is captured
_MOST_CAPTURES: Final = 8


class CapturedShapes(Generic[T]):
    """Run work on a tensor as a capture for the shapes that are most frequent, else as it is.

    A shape is captured after some uses, and while there is no room, only once it has been used
    twice as often as the least used one that is held, which it replaces. Where memory does not
    suffice for a capture, no more are held than there are.

    Args:
        capture: Records work on a tensor, which has been done on its shape before; returns what
            repeats it for tensors of that shape. What the repeated work returns is valid until
            the next work of any shape.
        most: Captures held at most.
        eager_uses: Uses of a shape before it is captured.
    """

    def __init__(
        self,
        capture: Callable[[Callable[[Tensor], T], Tensor], Callable[[Tensor], T]],
        *,
        most: int = _MOST_CAPTURES,
        eager_uses: int = EAGER_USES,
    ) -> None:
        self._capture = capture
        self._most = most
        self._eager_uses = eager_uses
        self._uses: Counter[tuple[int, ...]] = Counter()
        self._held: dict[tuple[int, ...], Callable[[Tensor], T]] = {}

    @property
    def shapes(self) -> set[tuple[int, ...]]:
        """The shapes whose captures are held."""
        return set(self._held)

    def run(self, work: Callable[[Tensor], T], given: Tensor) -> T:
        """Return what `work`, the same one at each call, makes of a tensor."""
        shape = tuple(given.shape)
        self._uses[shape] += 1
        if shape not in self._held and self._has_room(shape):
            self._hold(shape, work, given)
        return self._held.get(shape, work)(given)

    def release(self) -> bool:
        """Let go of all captures, and make no more; return whether there were any."""
        held = bool(self._held)
        if held:
            self._held.clear()
            self._most = 0
        return held

    def _has_room(self, shape: tuple[int, ...]) -> bool:
        """Return whether a shape may be captured; make room if it is worth it."""
        uses = self._uses[shape]
        if uses <= self._eager_uses or self._most == 0:
            return False
        if len(self._held) >= self._most:
            least_used = min(self._held, key=self._uses.__getitem__)
            if uses < 2 * self._uses[least_used]:
                return False
            del self._held[least_used]
        return True

    def _hold(self, shape: tuple[int, ...], work: Callable[[Tensor], T], given: Tensor) -> None:
        try:
            self._held[shape] = self._capture(work, given)
        except RuntimeError as error:
            # When memory runs out, the end of the recording may fail in turn.
            causes = (error, error.__context__)
            if not any(isinstance(cause, torch.OutOfMemoryError) for cause in causes):
                raise
            self._most = len(self._held)


class GraphCapture:
    """Record work on a GPU as a CUDA graph; a `capture` of `CapturedShapes`.

    All graphs share their memory, which is safe because they never run at the same time and
    nothing is read from one after another has run.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()

    def __call__(self, work: Callable[[Tensor], T], given: Tensor) -> Callable[[Tensor], T]:
        """Return what replays the work, into the same tensors each time."""
        static = given.clone()
        graph = torch.cuda.CUDAGraph()
        pool = next((other.pool() for other in self._alive), None)
        with (
            torch.cuda.device(given.device),
            torch.cuda.graph(
                graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"
            ),
        ):
            result = work(static)
        self._alive.add(graph)

        def replay(given: Tensor) -> T:
            static.copy_(given)
            graph.replay()
            return result

        return replay
