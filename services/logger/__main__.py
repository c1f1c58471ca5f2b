"""Runs the logger until SIGTERM or SIGINT: `python -m services.logger`."""

from libs.common import process
from services.logger.config import Config
from services.logger.main import run

if __name__ == "__main__":
    process.main(Config, run)
