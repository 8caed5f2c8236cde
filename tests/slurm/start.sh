#!/usr/bin/env bash
# A real SLURM on this one machine, for tests: two nodes, partitions `cpu` and `gpu` (two stand-in GPUs), accounting.
# Needs root, Debian's packages and no other SLURM; where one is wanting, or a daemon does not come up, it says so, shows
# the logs, and ends with 77.
#   bash tests/slurm/start.sh [start | stop]
set -euo pipefail

HOME_OF_TEST=${SLURM_TEST_FOLDER:-/var/lib/haemosynth-slurm}
PACKAGES=(munge slurmctld slurmd slurmdbd slurm-client slurm-wlm-basic-plugins slurm-wlm-mysql-plugin mariadb-server)
HOST=$(hostname -s)
SOCKET=$HOME_OF_TEST/database.sock

SKIPPED=77

say() { echo "slurm for tests: $*" >&2; }

skip() { say "SKIPPED, $*"; exit $SKIPPED; }

running() { [ -s "$1" ] && kill -0 "$(<"$1")" 2>/dev/null; }

patiently() { # what, command...
  local end=$((SECONDS + 60)) what=$1
  shift
  until "$@" >"$HOME_OF_TEST/last_try.log" 2>&1; do
    [ $SECONDS -lt $end ] || { tail -n 20 "$HOME_OF_TEST"/*.log >&2; skip "$what did not come up"; }
    sleep 0.3
  done
}

stop() {
  local name file
  for name in slurmd-cpu1 slurmd-gpu1 slurmctld slurmdbd database; do
    file=$HOME_OF_TEST/$name.pid
    if running "$file"; then
      kill "$(<"$file")"
      for _ in $(seq 50); do running "$file" || break; sleep 0.1; done
    fi
  done
  # Without a controller these settings only make every client, and so every start of Snakemake, wait for one.
  our_settings && rm -f /etc/slurm/{slurm,gres,slurmdbd}.conf
  return 0
}

our_settings() { grep -qs '^ClusterName=haemosynth$' /etc/slurm/slurm.conf; }

install_packages() {
  local missing=()
  for package in "${PACKAGES[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || skip "the packages cannot be installed"
}

write_settings() {
  touch "$HOME_OF_TEST"/gpu{0,1}
  cat >/etc/slurm/slurm.conf <<CONF
ClusterName=haemosynth
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
SlurmctldPidFile=$HOME_OF_TEST/slurmctld.pid
SlurmdPidFile=$HOME_OF_TEST/slurmd-%n.pid
SlurmctldLogFile=$HOME_OF_TEST/slurmctld.log
SlurmdLogFile=$HOME_OF_TEST/slurmd-%n.log
StateSaveLocation=$HOME_OF_TEST/state
SlurmdSpoolDir=$HOME_OF_TEST/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
# A job above its memory is ended, as on a cluster, but without cgroups.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
KillWait=2
CompleteWait=0
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
NodeName=cpu1 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=17101 CPUs=4 RealMemory=24000 State=UNKNOWN
NodeName=gpu1 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=17102 CPUs=4 RealMemory=24000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes=cpu1 Default=YES MaxTime=1-00:00:00 DefaultTime=10 DefMemPerCPU=500 State=UP
PartitionName=gpu Nodes=gpu1 MaxTime=1-00:00:00 DefaultTime=10 DefMemPerCPU=500 State=UP
CONF
  echo "NodeName=gpu1 Name=gpu File=$HOME_OF_TEST/gpu[0-1]" >/etc/slurm/gres.conf
  cat >/etc/slurm/slurmdbd.conf <<CONF
AuthType=auth/munge
DbdHost=$HOST
DbdAddr=127.0.0.1
SlurmUser=root
PidFile=$HOME_OF_TEST/slurmdbd.pid
LogFile=$HOME_OF_TEST/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=13316
StorageUser=slurm
StoragePass=for-tests-only
StorageLoc=slurm_accounting
CONF
  chmod 600 /etc/slurm/slurmdbd.conf
}

start_munge() {
  install -d -o munge -g munge -m 755 /run/munge
  install -d -o munge -g munge -m 700 /var/lib/munge /var/log/munge /etc/munge
  if [ ! -s /etc/munge/munge.key ]; then
    head -c 1024 /dev/urandom >/etc/munge/munge.key
    chown munge:munge /etc/munge/munge.key
    chmod 400 /etc/munge/munge.key
  fi
  munge -n </dev/null 2>/dev/null | unmunge >/dev/null 2>&1 || runuser -u munge -- munged --force
  patiently munge sh -c 'munge -n </dev/null | unmunge'
}

start_database() {
  local sql="mariadb --no-defaults -u root -S $SOCKET"
  install -d -o mysql -g mysql "$HOME_OF_TEST/database"
  [ -d "$HOME_OF_TEST/database/mysql" ] || mariadb-install-db --no-defaults --user=mysql --skip-test-db \
    --auth-root-authentication-method=socket --datadir="$HOME_OF_TEST/database" >/dev/null 2>&1
  setsid mariadbd --no-defaults --user=mysql --datadir="$HOME_OF_TEST/database" --socket="$HOME_OF_TEST/database/sock" \
    --bind-address=127.0.0.1 --port=13316 --innodb-buffer-pool-size=128M --innodb-lock-wait-timeout=900 \
    >"$HOME_OF_TEST/database.log" 2>&1 </dev/null &
  echo $! >"$HOME_OF_TEST/database.pid"
  ln -sf "$HOME_OF_TEST/database/sock" "$SOCKET"
  patiently MariaDB $sql -e 'select 1'
  $sql -e "create database if not exists slurm_accounting;
    create or replace user slurm@localhost identified by 'for-tests-only';
    create or replace user slurm@'127.0.0.1' identified by 'for-tests-only';
    grant all on slurm_accounting.* to slurm@localhost; grant all on slurm_accounting.* to slurm@'127.0.0.1';"
}

start() {
  [ "$(id -u)" = 0 ] || skip "root is needed"
  command -v apt-get >/dev/null || skip "apt-get is needed"
  [ ! -e /etc/slurm/slurm.conf ] || our_settings || skip "/etc/slurm/slurm.conf is another cluster's"
  install_packages
  if running "$HOME_OF_TEST/slurmctld.pid" && scontrol ping | grep -q UP; then say "runs already"; return; fi
  stop
  rm -rf "$HOME_OF_TEST" # a job that a former cluster left running would hold its node
  mkdir -p "$HOME_OF_TEST"/{state,spool-cpu1,spool-gpu1} /etc/slurm
  chmod 755 "$HOME_OF_TEST"
  write_settings
  start_munge
  start_database
  slurmdbd || true # whether it runs is asked next
  patiently slurmdbd sacctmgr --noheader list cluster
  sacctmgr --immediate --quiet add cluster haemosynth >/dev/null 2>&1 || true
  sacctmgr --immediate --quiet add account tests Description=tests Organization=tests >/dev/null 2>&1 || true
  sacctmgr --immediate --quiet add user root account=tests >/dev/null 2>&1 || true
  slurmctld || true # whether it runs is asked next
  patiently slurmctld sh -c 'scontrol ping | grep -q UP'
  for node in cpu1 gpu1; do slurmd -N $node; done
  patiently nodes sh -c '[ "$(sinfo --noheader --Node --states=idle -o %N | sort -u | wc -l)" = 2 ]'
  say "$(sinfo --noheader -o '%P %t %G' | tr '\n' ';')"
}

case ${1:-start} in
  start) start ;;
  stop) stop ;;
  *) say "expected start or stop"; exit 2 ;;
esac
