"""How a windowed table comes by its rows: blocks read in threads, kept while they are near."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from colonnade.tui.widgets.table_drawing import DrawnTable
from colonnade.tui.widgets.table_source import BLOCK_ROWS, BlockSource, Column, ListSource, Row

__all__ = ["ReadTable"]

_KEPT_BLOCKS = 32
_SLOW_SECONDS = 0.25


class ReadTable(DrawnTable):
    """Reads the blocks in view and those beside them."""

    def __init__(
        self,
        columns: Sequence[Column] = (),
        *,
        empty: str = "",
        heading: bool = True,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`empty`: what an empty table says, such as what to do next."""
        super().__init__(columns, empty=empty, heading=heading, id=id, classes=classes)
        self._source: BlockSource = ListSource(())
        self._blocks: OrderedDict[int, Sequence[Row]] = OrderedDict()
        self._reading: set[int] = set()
        self._generation = 0
        self.is_filled = False
        """Whether it has shown what it was given, be it nothing; until then there is nothing for keys to act on."""

    @property
    def count(self) -> int:
        """How many rows it has."""
        return self._source.count

    def row_values(self, row: int) -> Row | None:
        """A row, if its block has been read."""
        block = self._blocks.get(row // BLOCK_ROWS)
        offset = row % BLOCK_ROWS
        return block[offset] if block is not None and row >= 0 and offset < len(block) else None

    def _moved(self) -> None:
        """The cursor is on another row, or its row has been read."""

    def _unread(self, error: Exception) -> None:
        """A block could not be read."""

    def _blocks_of(self, top: int, count: int) -> list[int]:
        """The blocks that hold the rows in view."""
        last = min(top + self.page_rows, count) - 1
        return list(range(top // BLOCK_ROWS, last // BLOCK_ROWS + 1)) if last >= 0 else []

    def _fetch(self) -> bool:
        """Read what the window needs and what stands next to it; True if all in view is there already."""
        needed = [k for k in self._blocks_of(self._top, self.count) if k not in self._blocks]
        if getattr(self._source, "immediate", False):
            for k in needed:
                self._keep(k, self._source.block(k))
            return True
        near = self._blocks_of(max(0, self._top - BLOCK_ROWS // 2), self.count)[:1]
        after = min(self.count - 1, self._top + self.page_rows + BLOCK_ROWS // 2) // BLOCK_ROWS
        wanted = [k for k in {*needed, *near, after} if k >= 0 and k not in {*self._blocks, *self._reading}]
        if wanted:
            generation = self._generation
            self._reading.update(wanted)

            def arrived(blocks: dict[int, Sequence[Row]]) -> None:
                if generation != self._generation:
                    return
                self._reading.difference_update(wanted)
                shown = set(self._blocks_of(self._top, self.count))
                for k, block in blocks.items():
                    self._keep(k, block)
                if shown & blocks.keys():
                    self.refresh()
                    self._moved()

            if needed:
                self.set_timer(_SLOW_SECONDS, self._show_waiting)
            self._read(self._source, wanted, arrived)
        return not needed

    def _keep(self, k: int, block: Sequence[Row]) -> None:
        self._blocks[k] = block
        self._blocks.move_to_end(k)
        shown = set(self._blocks_of(self._top, self.count))
        for old in list(self._blocks):
            if len(self._blocks) <= _KEPT_BLOCKS:
                break
            if old not in shown:
                del self._blocks[old]

    def _show_waiting(self) -> None:
        """The block takes long: show the rows as not read yet instead of the old ones."""
        if any(k not in self._blocks for k in self._blocks_of(self._top, self.count)):
            self.refresh()

    def _read(
        self,
        source: BlockSource,
        wanted: Sequence[int],
        arrived: Callable[[dict[int, Sequence[Row]]], None],
    ) -> None:
        generation = self._generation

        def read() -> None:
            try:
                blocks = {k: source.block(k) for k in wanted if generation == self._generation}
            except Exception as error:  # told by the screen: a query may fail in any of DuckDB's ways
                if generation == self._generation:  # else other rows took their place
                    self._reading.difference_update(wanted)
                    self._unread(error)
                return
            if len(blocks) == len(wanted) and self.is_attached:
                self.app.call_later(arrived, blocks)

        self.run_worker(read, thread=True, group="blocks", exit_on_error=False)
