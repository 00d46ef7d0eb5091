"""Static files: hashed names, compressed once, cached for ever by browsers.

gzip alone: brotli at its highest effort costs most of a minute at the first start on a small
machine and saves a tenth of the bytes. Source maps and the second API browser are not collected.
"""

from typing import Any

from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

NOT_COLLECTED = ["*.map", "redoc"]


class Storage(CompressedManifestStaticFilesStorage):
    """A file that was not collected keeps its plain name instead of failing the whole page."""

    manifest_strict = False
    # Only what style sheets load; the source maps that files name are not here.
    patterns = tuple(
        (kind, tuple(rule for rule in rules if "sourceMappingURL" not in str(rule)))
        for kind, rules in CompressedManifestStaticFilesStorage.patterns
        if kind == "*.css"
    )

    def create_compressor(self, **kwargs: Any) -> Compressor:
        return Compressor(use_brotli=False, **kwargs)

    def stored_name(self, name: str) -> str:
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name
