# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What python programs hand work to each other by: zeromq, grpc, dask, celery (over redis).
commands="python3 redis-server dask-scheduler dask-worker /usr/lib/python3/dist-packages/zmq /usr/lib/python3/dist-packages/grpc
/usr/lib/python3/dist-packages/celery"
limit=300
job() {
    local kind
    for kind in zmq grpc; do
        serve $kind /usr/bin/python3 "$MATRIX/tasks.py" $kind serve 0.0.0.0 "$PORT" "$FILE"
        wait_port
        same "$kind" "$(client /usr/bin/python3 "$MATRIX/tasks.py" $kind ask "$HOST" "$PORT" "$(amount 1000)")" "$(amount 1000) $WANT"
        PORT=$((PORT + 1))
    done
    serve scheduler dask-scheduler --host "$HOST" --port "$PORT" --no-dashboard --no-show --protocol tcp
    wait_port
    client_bg worker dask-worker "tcp://$HOST:$PORT" --nworkers 1 --nthreads 2 --no-nanny --no-dashboard --local-directory "$DIR"
    same dask "$(client /usr/bin/python3 "$MATRIX/tasks.py" dask ask "$HOST" "$PORT" 100)" "100 328350"
    PORT=$((PORT + 1))
    serve redis redis-server --port "$PORT" --bind 0.0.0.0 --protected-mode no --save ''
    wait_port
    client_bg celery env PYTHONPATH="$MATRIX" BROKER="redis://$HOST:$PORT/0" PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m celery -A tasks worker -c 2 -l warning
    same celery "$(client env BROKER="redis://$HOST:$PORT/0" /usr/bin/python3 "$MATRIX/tasks.py" celery ask "$HOST" "$PORT" 50)" "50 40425" ||
        { cat "$DIR/celery.log"; return 1; }
}
