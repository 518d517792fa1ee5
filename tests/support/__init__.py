"""What tests share: programs built, debuggers driven, memory laid out by hand, what each command must answer."""

from pathlib import Path

FOLDER = Path(__file__).parent
