"""What one inference is: how many sequences of which length."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nas.documents import StrictModel


class Workload(StrictModel):
    """Batch, input length and output length in tokens. Latency of an encoder is one forward pass at it."""

    batch: Annotated[int, Field(ge=1, le=1024)] = 1
    input_length: Annotated[int, Field(ge=1, le=8192)]
    output_length: Annotated[int, Field(ge=0, le=8192)] = 0

    @property
    def key(self) -> str:
        """Return the canonical text of the workload, e.g. `batch=1,input_length=64,output_length=0`."""
        return f"batch={self.batch},input_length={self.input_length},output_length={self.output_length}"
