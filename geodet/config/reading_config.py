"""Settings of reading scenes: how long a server may take, and what becomes of damaged pixels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geodet.config.section import Section

__all__ = ["ReadingConfig"]


class ReadingConfig(Section):
    """Reading scenes, the remote ones among them.

    Example:
        >>> geodet.DetectConfig(retries=8, read_timeout=600).retries
        8
    """

    on_error: Literal["stop", "skip"] = Field(
        "stop",
        description="where a part of a scene cannot be read; skip: it is left out, counted, and "
        "written as a polygon with the reason; stop: the run ends, and the same command "
        "continues it once the scene is repaired",
    )
    connect_timeout: float = Field(
        10.0, gt=0, description="seconds in which the server of a remote scene must be reached"
    )
    stall_timeout: float = Field(
        15.0,
        ge=1,
        description="seconds after which a request is given up that brought less than 1 kB/s",
    )
    request_timeout: float = Field(
        120.0, ge=1, description="seconds that one request to a server may take"
    )
    read_timeout: float = Field(
        180.0,
        gt=0,
        description="seconds that a window of a remote scene may take, with all requests, pauses "
        "and retries",
    )
    retries: int = Field(
        4,
        ge=0,
        description="how often a window of a remote scene is read again when its server answers "
        "with status 408, 425, 429 or 5xx, cuts the answer off, or does not answer",
    )
    retry_delay: float = Field(
        0.5, ge=0, description="seconds before the first retry; each further pause is twice as long"
    )
