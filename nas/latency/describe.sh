# Prints what a device says of itself, one "name value" line a thing; what can't be read has no line.
# POSIX sh without awk, sed or bc: runs in dash, busybox, Android's mksh and macOS's bash.

first_line() { # file name…: the first line of the file after the name
    line=
    if { IFS= read -r line <"$1" || [ -n "$line" ]; } 2>/dev/null; then shift; echo "$* $line"; fi
}

say() { # name command…: the first line that the command prints, if it knows
    name=$1; shift
    if command -v "$1" >/dev/null 2>&1; then
        value=$("$@" 2>/dev/null </dev/null) || value=
        value=${value%%"
"*}
        if [ -n "$value" ]; then echo "$name $value"; fi
    fi
}

say system uname -sr
say architecture uname -m
say product getprop ro.product.model
say maker getprop ro.product.manufacturer
say soc getprop ro.soc.model

while IFS=: read -r name value; do
    name=${name%"${name##*[! 	]}"} value=${value# }
    case $name in
        "model name") echo "cpu_model $value" ;;
        Hardware) echo "soc $value" ;;
        Model) echo "product $value" ;;
        "CPU implementer") implementer=$value ;;
        "CPU part") echo "arm_core $implementer/$value" ;;
    esac
done 2>/dev/null </proc/cpuinfo

while read -r name value _; do
    case $name in MemTotal:) echo "memory_kib $value" ;; esac
done 2>/dev/null </proc/meminfo

while read -r name value _; do
    case $name in Cpus_allowed_list:) echo "usable_list $value" ;; esac
done 2>/dev/null </proc/self/status
say usable nproc

cpus=/sys/devices/system/cpu
first_line "$cpus/present" present_list
say cores getconf _NPROCESSORS_CONF
for cpu in "$cpus"/cpu[0-9]*; do
    number=${cpu##*/cpu}
    first_line "$cpu/cpufreq/scaling_governor" governor
    first_line "$cpu/cpufreq/scaling_cur_freq" current_khz "$number"
    first_line "$cpu/cpufreq/cpuinfo_max_freq" maximum_khz "$number"
    first_line "$cpu/cpufreq/scaling_max_freq" limit_khz "$number"
done

for zone in /sys/class/thermal/thermal_zone[0-9]*; do
    value=
    if { read -r value <"$zone/temp" || [ -n "$value" ]; } 2>/dev/null; then
        kind=
        { IFS= read -r kind <"$zone/type"; } 2>/dev/null
        echo "thermal $value ${kind:-${zone##*/}}"
    fi
done

first_line /proc/loadavg load

if [ "$(uname -s)" = Darwin ]; then
    say cpu_model sysctl -n machdep.cpu.brand_string
    say memory_bytes sysctl -n hw.memsize
    say cores sysctl -n hw.physicalcpu
    say usable sysctl -n hw.logicalcpu
    say load_braces sysctl -n vm.loadavg
fi
echo end
