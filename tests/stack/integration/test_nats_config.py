import os
import subprocess
from pathlib import Path

from stack.embedded import program
from stack.nats_config import USERS, for_a_cluster


def test_the_server_takes_the_cluster_s_configuration(tmp_path: Path) -> None:
    config = tmp_path / "server.conf"
    config.write_text(for_a_cluster())
    passwords = {f"NATS_{user.upper()}_PASSWORD": f"p{user}" for user in USERS}
    checked = subprocess.run(
        [program("nats-server"), "-t", "--config", str(config)],
        env={**os.environ, **passwords, "POD_NAME": "nats-0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert "invalid" not in checked.stderr
