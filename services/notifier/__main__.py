"""`python -m services.notifier`."""

from libs.common.process import main
from services.notifier.config import Config
from services.notifier.main import run

main(Config, run)
