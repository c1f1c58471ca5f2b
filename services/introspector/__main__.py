"""`python -m services.introspector`."""

from libs.common.process import main
from services.introspector.config import Config
from services.introspector.main import run

main(Config, run)
