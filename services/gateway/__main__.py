"""`python -m services.gateway` runs the gateway until SIGTERM or SIGINT."""

from libs.common.process import main
from services.gateway.config import Config
from services.gateway.main import run

main(Config, run)
