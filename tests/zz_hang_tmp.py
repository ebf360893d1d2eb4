import sys, time, signal, os, subprocess
import pytest
from django.db import connection
from tests import test_production as tp
from tests.installations import OnRedis
from tests.processes import environment, eventually, AgentClient
pytestmark=[pytest.mark.django_db(transaction=True)]
def test_hang(shop, tmp_path):
    token = tp.make_agent_token()
    env = environment(shop.url, REDIS_URL=tp.REDIS, COUNTERSIGN_QUEUE="hangq", EXECUTION_LEASE_SECONDS="3", PYTHONPATH="/tmp/sc")
    names=("web","worker","worker","clock","clock")
    ch=[OnRedis(n, env, tmp_path/f"{i}-{n}.log").start() for i,n in enumerate(names)]
    try:
        load=tp.Load(AgentClient(ch[0].address(), token))
        eventually(lambda: tp.committed()>=10, within=60)
        for i in range(12):
            r=tp.restart_database()
            t=time.monotonic()
            while time.monotonic()-t<8 and load.accepted_at<=r: time.sleep(0.05)
            print("round", i, "accepted after", load.accepted_at-r, file=sys.stderr)
            if load.accepted_at<=r:
                for p in subprocess.run(["pgrep","-P",str(ch[0].child.pid)],capture_output=True,text=True).stdout.split():
                    pass
                with connection.cursor() as c:
                    c.execute("select pid, state, wait_event_type, wait_event, xact_start, left(query,150) from pg_stat_activity where datname=current_database()")
                    for row in c.fetchall(): print(row, file=sys.stderr)
                time.sleep(15)
                subprocess.run("date; ss -tnpo | grep -E 'gunicorn|python' | head -60", shell=True, stdout=open("/tmp/sc/ss","w"))
                print((tmp_path/"0-web.log").read_text()[-12000:], file=sys.stderr)
                break
            time.sleep(1)
        load.stop()
    finally:
        for c in ch: c.stop()
