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
        description="what to do where a part of a scene cannot be read; skip: leave it out, count "
        "it, and write it as a polygon with the reason; stop: end the run, which the same command "
        "continues once the scene is repaired",
    )
    connect_timeout: float = Field(
        10.0, gt=0, description="seconds to wait for a connection to the server of a remote scene"
    )
    stall_timeout: float = Field(
        15.0,
        ge=1,
        description="seconds after which a request that receives less than 1 kB/s is aborted",
    )
    request_timeout: float = Field(
        120.0, ge=1, description="seconds that one request to a server may take"
    )
    read_timeout: float = Field(
        180.0,
        gt=0,
        description="seconds that reading a window of a remote scene may take, including all "
        "requests, pauses and retries",
    )
    retries: int = Field(
        4,
        ge=0,
        description="how often to retry a window of a remote scene when its server answers with "
        "status 408, 425, 429 or 5xx, breaks off an answer, or does not answer",
    )
    retry_delay: float = Field(
        0.5, ge=0, description="seconds before the first retry; each later pause is twice as long"
    )
