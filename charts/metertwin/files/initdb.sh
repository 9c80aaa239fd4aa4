# The first start of PostgreSQL: an empty volume gets a cluster, whole or not at all. What a first
# start that was killed left behind is made anew.
set -eu
cd /var/lib/postgresql
if [ ! -e data/PG_VERSION ]; then
  rm -rf new
  # The built-in provider: a newer C library sorts no index another way.
  initdb --pgdata=new --username=postgres --encoding=UTF8 --locale=C \
    --locale-provider=builtin --builtin-locale=C.UTF-8 --data-checksums --auth=reject
  postgres --single -D new -c exit_on_error=on -c log_min_messages=fatal postgres >/dev/null <<END
CREATE ROLE metertwin LOGIN
CREATE DATABASE metertwin OWNER metertwin
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1, metertwin FROM PUBLIC
END
  mv new data
  sync .
fi
# A volume's group is given rights on all files when it is mounted; PostgreSQL refuses such a folder.
chmod 0700 data
