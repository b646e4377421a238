#!/usr/bin/env bash
# Ray on the nodes of one Slurm job, and a command that uses it:
#
#   sbatch infra/cluster/slurm.sh litecot run liter-7b --corpus /shared/corpus
#
# Five minutes before the time limit the command gets SIGTERM (litecot saves and exits with 130) and
# the job is queued again; scancel ends it the same way without queueing. What is done is not done
# again. docs/cluster.md has the whole path.
#
# Ray's processes are steps of the job and end with it, so no `ray stop`, which would end other jobs'
# Ray on a shared node. The journals must lie where every node can read them (LITECOT_JOURNALS).
#SBATCH --job-name=litecot
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=litecot-%j.log
set -euo pipefail

JOIN_TIMEOUT_S=${LITECOT_JOIN_TIMEOUT_S:-300} # for all nodes together
STOP_TIMEOUT_S=40                             # Ray drains a node for up to 30 s

say() { echo "slurm.sh: $*" >&2; }

if (($# == 0)); then
    say "no command: sbatch infra/cluster/slurm.sh litecot run RECIPE ..."
    exit 2
fi
if [[ -z ${SLURM_JOB_ID:-} ]]; then
    say "not in a Slurm job: start it with sbatch"
    exit 2
fi

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_ip=${LITECOT_HEAD_IP:-$(hostname -I | cut -d' ' -f1)} # a batch script runs on the first node
port=${LITECOT_RAY_PORT:-$((20000 + SLURM_JOB_ID % 10000))}
export RAY_ADDRESS="$head_ip:$port"
# Whoever reaches a Ray head can run code on all its nodes: a token that only this job knows.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
read -ra extra <<<"${LITECOT_RAY_START:-}" # more options of `ray start`, ports for example
ray_start=(ray start --block --disable-usage-stats
    --temp-dir="${LITECOT_RAY_TMP:-/tmp/litecot-$SLURM_JOB_ID}"
    --num-cpus="${SLURM_CPUS_ON_NODE:-$(nproc)}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" "${extra[@]}")
steps=()  # pids of srun, one a node
command=  # pid of what runs in the foreground
stopped=  # the signal that ended it early
status=1

start_node() { # name, then more options of `ray start`
    srun --nodes=1 --ntasks=1 --overlap --cpu-bind=none --nodelist="$1" "${ray_start[@]}" "${@:2}" &
    steps+=($!)
}

# shellcheck disable=SC2329  # for `run`
nodes_joined() { # waits until $1 nodes are in the cluster; fails when one of the steps $2.. ends
    python - "$JOIN_TIMEOUT_S" "$@" <<'PYTHON'
import os, sys, time
import ray

limit_s, wanted, steps = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
deadline, alive = time.monotonic() + limit_s, 0
why = "what their `ray start` said is above; otherwise look for a firewall between the nodes"
while alive < wanted:
    if time.monotonic() > deadline:
        sys.exit(f"slurm.sh: {alive} of {wanted} nodes joined Ray within {limit_s:.0f} s: {why}")
    if not all(os.path.exists(f"/proc/{step}") for step in steps):
        sys.exit(f"slurm.sh: Ray ended on a node before all {wanted} had joined: {why}")
    time.sleep(1)
    try:
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level="CRITICAL")
        alive = sum(node["Alive"] for node in ray.nodes())
    except (ConnectionError, RuntimeError):  # the head is not up yet
        continue
PYTHON
}

run() { # a command, to its end; `wait` returns early when a signal is trapped
    local before
    "$@" &
    command=$!
    while
        before=$stopped
        wait "$command" && status=0 || status=$?
        [[ $stopped != "$before" ]]
    do :; done
}

# shellcheck disable=SC2329  # for the traps
stop() {
    stopped=$1
    say "$1: $2"
    if [[ -z $command ]]; then exit 130; fi
    kill -TERM "$command" 2>/dev/null || true
}

# shellcheck disable=SC2329  # for the traps
leave() {
    trap - EXIT
    if ((${#steps[@]})); then
        kill -TERM "${steps[@]}" 2>/dev/null || true
        for ((second = 0; second < STOP_TIMEOUT_S; second++)); do
            kill -0 "${steps[@]}" 2>/dev/null || break
            sleep 1
        done
        kill -KILL "${steps[@]}" 2>/dev/null || true
    fi
}

trap leave EXIT
trap 'stop USR1 "the time limit is near, saving"' USR1
trap 'stop TERM "saving and stopping"' TERM INT

say "Ray on ${#nodes[@]} nodes (${nodes[*]}), head at $RAY_ADDRESS"
start_node "${nodes[0]}" \
    --head --node-ip-address="$head_ip" --port="$port" --include-dashboard=false
for node in "${nodes[@]:1}"; do
    start_node "$node" --address="$RAY_ADDRESS"
done
run nodes_joined "${#nodes[@]}" "${steps[@]}"
if ((status == 0)) && [[ -z $stopped ]]; then
    say "all ${#nodes[@]} nodes joined, running: $*"
    run "$@"
fi
if [[ $stopped == USR1 ]]; then
    say "queued again, to go on where it stopped"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
