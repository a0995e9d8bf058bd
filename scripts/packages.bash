# How Debian's packages come to this machine, for scripts/test and bench/peers, which read this file. Nothing is started of
# what is installed.

# missing_of PROGRAM:PACKAGE ...: the packages whose programs are not on this machine, one a line.
missing_of() {
  local need
  for need in "$@"; do
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" type -P "${need%%:*}" >/dev/null || echo "${need##*:}"
  done | sort -u
}

# Services that a package would start on installation stay off: the tests want no daemon on a port of this machine.
without_services() {
  local policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  local code=0
  "$@" || code=$?
  rm -f "$policy"
  return "$code"
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  if [[ " $* " == *" postfix "* ]]; then
    # No instance of its own: the tests bring the whole configuration.
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
  fi
  without_services apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# install_what_is_missing FUNCTION: what that function names.
install_what_is_missing() {
  local missing
  mapfile -t missing < <("$1")
  if [ "${#missing[@]}" -eq 0 ]; then
    echo 'all there'
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "$0: these Debian packages are missing and only root can install them: ${missing[*]}" >&2
    exit 1
  fi
  echo "installing ${missing[*]}"
  install_packages "${missing[@]}"
  mapfile -t missing < <("$1")
  if [ "${#missing[@]}" -ne 0 ]; then
    echo "$0: still missing after the installation: ${missing[*]}" >&2
    exit 1
  fi
}

# The packages of libraries that a package needs, as it names them; `|` and versions aside.
libraries_of() {
  apt-cache show --no-all-versions "$1" | sed -n 's/^Depends: //p' | tr ',' '\n' |
    sed 's/^ *//; s/[ |].*//' | grep '^lib'
}

# unpack FOLDER PACKAGE ...: unpacks packages that are not to be installed, and installs the libraries of the first.
# Makes the folder whole in another place first, so that a broken download leaves none behind that looks complete.
unpack() {
  local folder=$1
  shift
  if [ -e "$folder" ]; then
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "$0: only root can install the libraries of $1" >&2
    exit 1
  fi
  echo "unpacking $* into $folder"
  local new=$PWD/$folder.new
  rm -rf "$new"
  mkdir -p "$new/packages"
  # Where apt may write without being root: it fetches as an account of its own.
  chown _apt "$new/packages" 2>/dev/null || true
  apt-get update -qq
  mapfile -t libraries < <(libraries_of "$1")
  install_packages "${libraries[@]}"
  (cd "$new/packages" && apt-get download -qq "$@")
  local package
  for package in "$new"/packages/*.deb; do
    dpkg -x "$package" "$new"
  done
  rm -r "$new/packages"
  # Beside the folder of the machine's architecture, under one name everywhere.
  find "$new" -name libnss_wrapper.so -exec cp -L {} "$new/usr/lib/" \;
  mv "$new" "$folder"
}
