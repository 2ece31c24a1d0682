#!/usr/bin/env bash
# A Slurm of two nodes on this one machine, for tests/slurm: cluster.sh start | status | stop
#
# Debian 12 and root. Nodes n1 and n2 are one slurmd each; their 4 processors, 8 GB and 2 GPUs are only claimed: nothing
# is bound, memory is watched every second (a job that takes more than it asked for is killed), the GPUs are /dev/null.
# Partitions: main, and low, which jobs of main preempt. Accounting is slurmdbd over a MariaDB of its own.
# start is safe to repeat. It refuses where a slurm.conf is that it did not write; stop ends only what start began.
set -euo pipefail

name=genossl-test
etc=/etc/slurm run=/run/$name lib=/var/lib/$name log=/var/log/$name
mark="# written by genossl's tests/slurm/cluster.sh"
packages=(slurmctld slurmd slurm-client slurmdbd munge mariadb-server)
daemons=(slurmd.n1 slurmd.n2 slurmctld slurmdbd mariadbd munged)  # in the order in which they are ended
socket=$run/mariadb/socket
host=$(hostname -s)

say() { echo "cluster.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# Whether the daemon of that name was begun here and still lives: process numbers are used again, so its command counts.
lives() {
    local pid
    pid=$(cat "$run/$1.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "${1%%.*}" ]
}

wait_for() {  # seconds, then a command that succeeds once
    local tries=$(($1 * 5)); shift
    until "$@" >/dev/null 2>&1; do
        ((tries-- > 0)) || die "gave up waiting for: $*; see $log"
        sleep 0.2
    done
}

nodes_up() { lives slurmctld && [ "$(timeout 10 sinfo -hN -p main -t idle,mix,alloc,comp -o %N | sort -u | wc -l)" = 2 ]; }

install_packages() {
    type sbatch slurmctld slurmd slurmdbd munged mariadbd >/dev/null 2>&1 && return
    say "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1  # in which Debian starts no daemon that it installs
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$log/apt.log" 2>&1 || die "see $log/apt.log"
}

write_settings() {
    cat >$etc/slurm.conf <<CONF
$mark
ClusterName=$name
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=slurm
SlurmctldPidFile=$run/slurmctld.pid
SlurmdPidFile=$run/slurmd.%n.pid
StateSaveLocation=$lib/slurmctld
SlurmdSpoolDir=$lib/slurmd.%n
SlurmctldLogFile=$log/slurmctld.log
SlurmdLogFile=$log/slurmd.%n.log
MpiDefault=none
ReturnToService=2
# neither cgroups nor what the machine really has
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoreFlags=job_comment
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2
KillWait=10
MinJobAge=600
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=16821 CPUs=4 RealMemory=8000 Gres=gpu:2
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=16822 CPUs=4 RealMemory=8000 Gres=gpu:2
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=1-0 PriorityTier=2 PreemptMode=OFF
PartitionName=low Nodes=n1,n2 MaxTime=1-0 PriorityTier=1 GraceTime=10
CONF
    cat >$etc/gres.conf <<CONF
$mark
AutoDetect=off
NodeName=n1,n2 Name=gpu File=/dev/$name[0-1]
CONF
    (umask 077; cat >$etc/slurmdbd.conf) <<CONF
$mark
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=16819
SlurmUser=slurm
PidFile=$run/slurmdbd.pid
LogFile=$log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm_acct_db
CONF
    chown slurm: $etc/slurmdbd.conf
}

start_munge() {
    munge -n >/dev/null 2>&1 && return  # the machine's own will do
    [ -s /etc/munge/munge.key ] || (umask 077; head -c 128 /dev/urandom >/etc/munge/munge.key)
    chown -R munge: /etc/munge
    install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge
    setpriv --reuid munge --regid munge --init-groups munged --pid-file /run/munge/munged.pid
    wait_for 10 munge -n
    cp /run/munge/munged.pid $run/munged.pid
}

start_accounting() {
    install -d -o mysql -g mysql -m 700 $lib/mariadb
    install -d -o mysql -g mysql $run/mariadb
    [ -d $lib/mariadb/mysql ] || mariadb-install-db --user=mysql --datadir=$lib/mariadb >$log/mariadb.log 2>&1
    lives mariadbd || {
        setsid mariadbd --no-defaults --user=mysql --datadir=$lib/mariadb --socket=$socket --skip-networking \
            --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 >>$log/mariadb.log 2>&1 </dev/null &
        echo $! >$run/mariadbd.pid
    }
    wait_for 30 mariadb --no-defaults --socket=$socket -e "
        CREATE DATABASE IF NOT EXISTS slurm_acct_db;
        CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED VIA unix_socket;
        GRANT ALL ON slurm_acct_db.* TO slurm@localhost"
    lives slurmdbd || MYSQL_UNIX_PORT=$socket slurmdbd
    wait_for 30 sacctmgr -n list cluster
    sacctmgr -n list cluster format=cluster%30 | grep -qw $name || sacctmgr -i add cluster $name >/dev/null
}

start() {
    [ "$(id -u)" = 0 ] || die "start needs root"
    if [ -e $etc/slurm.conf ] && ! grep -qxF "$mark" $etc/slurm.conf; then
        die "$etc/slurm.conf is another cluster's: left alone"
    fi
    if nodes_up; then say "is up already"; return; fi
    mkdir -p $etc $run $lib/slurmctld $lib/slurmd.n1 $lib/slurmd.n2 $log
    install_packages
    chown slurm: $run $lib/slurmctld $log
    for gpu in 0 1; do [ -e /dev/$name$gpu ] || mknod -m 666 /dev/$name$gpu c 1 3; done
    write_settings
    start_munge
    start_accounting
    lives slurmctld || slurmctld
    wait_for 20 scontrol ping
    for node in n1 n2; do lives slurmd.$node || slurmd -N $node; done
    wait_for 30 nodes_up
    say "is up: $(sinfo -h -o '%P %N' | paste -sd ';')"
}

stop() {
    local daemon
    for daemon in "${daemons[@]}"; do
        if lives "$daemon"; then
            kill "$(cat "$run/$daemon.pid")"
            for _ in {1..100}; do lives "$daemon" || break; sleep 0.1; done
        fi
        rm -f "$run/$daemon.pid"
    done
    # with it, Slurm's commands, and so every snakemake that has the plugin, would wait ten seconds for a controller
    ! grep -qxF "$mark" $etc/slurm.conf 2>/dev/null || rm $etc/slurm.conf
    say "is down"
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    status) nodes_up || die "no cluster of ours answers"; sinfo -N ;;
    *) die "expected start, status or stop, found '${1:-}'" ;;
esac
