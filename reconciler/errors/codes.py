"""Every code a user can meet, with the explanation that ``reconciler explain CODE`` prints.

Codes are stable: one is never given a second meaning. They are numbered by room:
RCL0xxx command line and root, RCL1xxx policies, RCL2xxx inventory and prerequisites, RCL3xxx plan and
apply, RCL4xxx embedded engine and its store, RCL5xxx state (ledger, journal, locks), RCL6xxx schedule
and jobs, RCL7xxx recovery, RCL9xxx faults of ours.
"""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """What a code means: `title` in a few words, `cause` why it happens, `remedy` what to do."""

    title: str
    cause: str
    remedy: str


#: RCL0xxx: command line and root
_COMMAND_LINE = {
    "RCL0001": Explanation(
        "no policy folder found",
        "The root is the folder that holds policies/. None was found from here up to the top of the Git "
        "repository, or at the folder given with -C.",
        "Go to the root, or name it with -C DIR. A missing folder is never read as 'nothing is desired'.",
    ),
    "RCL0002": Explanation(
        "which site?",
        "The policies describe several sites, or none of the given name.",
        "Name one of the listed sites with --site NAME.",
    ),
    "RCL0003": Explanation(
        "the command line does not fit",
        "An option or argument is unknown, missing, or has a value that the command does not take.",
        "See COMMAND --help.",
    ),
    "RCL0004": Explanation(
        "unknown code",
        "There is no finding or error with this code.",
        "Codes are RCL and four digits, as printed beside a finding.",
    ),
    "RCL0005": Explanation(
        "interrupted",
        "Ctrl-C or SIGTERM came while the command was at work.",
        "Start the command again: it goes on from what the journal says was done.",
    ),
    "RCL0006": Explanation(
        "a folder that is not empty",
        "The demo would write into a folder that holds other things.",
        "Give it a new folder. Nothing was touched.",
    ),
    "RCL0008": Explanation(
        "no such group",
        "No document of kind ProtectionGroup in this site has this name.",
        "Use the metadata.name of a group; the message lists them.",
    ),
    "RCL0009": Explanation(
        "nothing to compare with",
        "The name is neither a folder or file nor a revision that this Git repository has.",
        "Name a folder, a file, a branch, a tag or a commit. A shallow clone in CI may lack the older commit:"
        " fetch it.",
    ),
    "RCL0010": Explanation(
        "a needed program is not there",
        "Comparing commits needs git, signatures need OpenSSH's ssh-keygen.",
        "Install it.",
    ),
    "RCL0011": Explanation(
        "a key that cannot sign",
        "ssh-keygen could not sign with the key: not a private key, or its passphrase is not known to an agent.",
        "Give the path of a private SSH key, or load it into ssh-agent and give its public key.",
    ),
    "RCL0012": Explanation(
        "a place that cannot be written to",
        "The folder of the file is missing, or something that is no file, such as a folder or a device, has its name.",
        "Give the path of a file in a folder that exists.",
    ),
    "RCL0007": Explanation(
        "the system refused",
        "A file could not be read or written: a full or failing disk, a missing right.",
        "The message names the file. What was there before is unharmed; run the command again.",
    ),
    "RCL0013": Explanation(
        "a report that was not written",
        "A file named with --report could not be written: no such folder, no right, no room, or no file has its name."
        " The other reports were written, and the command did its work.",
        "Mend the place and run the command again, or `reconciler show` for a saved plan.",
    ),
    "RCL0014": Explanation(
        "a step that weakens protection",
        "Something would be protected less than now: kept shorter, copied more rarely, or by nobody.",
        "Look at the step's fields and points. Have it approved, or take the change of the policies back.",
    ),
    "RCL0015": Explanation(
        "a step that destroys recovery points",
        "Points of a machine would expire at once when its protection is stopped.",
        "Look at which points those are. Have it approved, or write `existingPoints: retain`.",
    ),
    "RCL0016": Explanation(
        "a clone that lacks what is asked for",
        "The clone is shallow or partial: commits or files that decide who wrote a change are not in it. They are not"
        " fetched here, since the settings of a repository under review could name any program or server for that.",
        "Fetch all of it: `git fetch --unshallow`; in CI `fetch-depth: 0` (GitHub), `GIT_DEPTH: 0` (GitLab),"
        " `fetchDepth: 0` (Azure).",
    ),
    "RCL0017": Explanation(
        "a Git repository of another account",
        "Git does not read a repository whose folder belongs to somebody else, unless the account that runs it says"
        " that the folder is safe. Only the settings of the account and of the computer count for that.",
        "If you trust it: `git config --global --add safe.directory FOLDER`. Or run as its owner.",
    ),
    "RCL0018": Explanation(
        "a name with several meanings",
        "What is to be compared is both a Git revision and a folder or file, or several revisions: a branch and a tag, "
        "a branch and the beginning of an id. A change under review can bring a folder that is called like a branch.",
        "Write ./NAME for a folder or file, refs/heads/NAME, refs/remotes/NAME or refs/tags/NAME for a revision.",
    ),
    "RCL0024": Explanation(
        "a text that does not read",
        "A file, a row of a database or an answer is no JSON of the kind that is wanted, is larger than 1 GiB, or its"
        " lists and objects are nested more than 64 deep. Nothing of it was believed.",
        "Restore what the message names from a backup, or have it written anew by the command that made it.",
    ),
    "RCL0021": Explanation(
        "a cluster, server or job that the system refused",
        "The operating system refused to read or write something of the cluster, server or job that the message names:"
        " a disk that fails, a missing right, a network share that went away. Only that one is affected; nothing is"
        " concluded about it meanwhile.",
        "Look at the file or disk that is named. It is tried again at the next tick, or when the command is run again.",
    ),
}

#: RCL1xxx: policies
_POLICIES: dict[str, Explanation] = {
    "RCL1001": Explanation(
        "no policy folder",
        "The root has no folder called policies.",
        "Go to the root, or name it with -C DIR. A missing folder is never read as 'nothing is desired'.",
    ),
    "RCL1002": Explanation(
        "a policy file cannot be read",
        "This account may not read the file or folder, or it is not a regular file.",
        "Correct its permissions; nothing is planned from half a folder.",
    ),
    "RCL1003": Explanation(
        "an empty policy folder",
        "The folder holds no policy document. That is never read as 'nothing is desired'.",
        "Write policies, or name the right root with -C DIR.",
    ),
    "RCL1004": Explanation(
        "not a text file",
        "The file is too large, not UTF-8, or holds letters that do not mean what they show: control characters,"
        " ends of lines that only some readers know (U+2028, U+0085, a carriage return alone), letters that turn the"
        " direction of text, letters that are not seen, and blanks that are none to YAML.",
        "Save it as plain UTF-8 text, and remove the letters that are named.",
    ),
    "RCL1005": Explanation(
        "not YAML",
        "The file cannot be parsed.",
        "Look at the line named and the one before it: indentation, quotes, colons, brackets.",
    ),
    "RCL1006": Explanation(
        "a tab",
        "YAML does not allow tabs for indentation.",
        "Replace tabs by blanks.",
    ),
    "RCL1007": Explanation(
        "a key twice",
        "A mapping has the same key twice; other readers silently take one of them.",
        "Keep one.",
    ),
    "RCL1008": Explanation(
        "a value that YAML readers disagree on",
        "Without quotes, some readers take 22:00 for 1320, no for false, 010 for 8.",
        "Quote it, or write true or false.",
    ),
    "RCL1009": Explanation(
        "a merge key",
        "`<<` is not part of this policy language.",
        "Write the fields out.",
    ),
    "RCL1010": Explanation(
        "an alias out of bounds",
        "An alias refers to nothing, to itself, or makes the document unreasonably large.",
        "Write the values out.",
    ),
    "RCL1011": Explanation(
        "a tag",
        "Tags such as !!python/object have no place in a policy.",
        "Remove it.",
    ),
    "RCL1012": Explanation(
        "a key that is no text",
        "Keys are names of fields or of labels.",
        "Write a plain text as key.",
    ),
    "RCL1013": Explanation(
        "too deep or too long",
        "The document is nested deeper, or holds a longer text, than any policy needs.",
        "Write it simpler.",
    ),
    "RCL1014": Explanation(
        "not a policy document",
        "A document is a mapping with apiVersion, kind, metadata and spec.",
        "Write it as one; see docs/reference/policies.md.",
    ),
    "RCL1015": Explanation(
        "an unknown kind",
        "There is no such kind of document.",
        "The message names the nearest one.",
    ),
    "RCL1016": Explanation(
        "an unknown field",
        "There is no such field here; it would otherwise be silently ignored.",
        "The message names the nearest one.",
    ),
    "RCL1017": Explanation(
        "a missing field",
        "A field without which the document has no meaning is not written.",
        "Write it.",
    ),
    "RCL1018": Explanation(
        "a value of the wrong type",
        "A text stands where a number is needed, or the like.",
        "The message says what to write; quotes make a text.",
    ),
    "RCL1019": Explanation(
        "a value that does not fit",
        "The value has the right type but is none that the field takes.",
        "The message says what to write.",
    ),
    "RCL1020": Explanation(
        "a field without a value",
        "The field's name is written, its value is not.",
        "Write a value, or leave the field out.",
    ),
    "RCL1021": Explanation(
        "exactly one of several",
        "Of these fields exactly one is written.",
        "The message names them.",
    ),
    "RCL1022": Explanation(
        "not supported yet",
        "The policy language has this, but this version does not act on it; it is refused rather than ignored.",
        "Leave it out. docs/reference/policies.md lists what this version does.",
    ),
    "RCL1023": Explanation(
        "a name twice",
        "Two documents of one kind, or two parts of a site, have the same name.",
        "Rename one of them.",
    ),
    "RCL1024": Explanation(
        "something that is not there",
        "A document names a site, server, cluster or volume that no site document has.",
        "Correct the name; the message lists those that there are.",
    ),
    "RCL1025": Explanation(
        "an unknown time zone",
        "The name is not in the IANA time zone database.",
        "Write a name such as Europe/Berlin or UTC.",
    ),
    "RCL1026": Explanation(
        "a path out of the root",
        "Paths of a site are relative to the root and stay below it.",
        "Write it without a leading slash and without `..`.",
    ),
    "RCL1027": Explanation(
        "retention out of range",
        "Points on disk are kept for 1 to 448 days (plan-long-and-short-term-data-storage).",
        "Write a retention within that range.",
    ),
    "RCL1028": Explanation(
        "a selector that selects nothing",
        "A selector without names and labels could mean all machines or none.",
        'Write names or labels; names: ["*"] means every machine.',
    ),
    "RCL1030": Explanation(
        "an exclusion that ended",
        "The last day of the exclusion has passed; its machines count as unprotected.",
        "Prolong it, or protect the machines.",
    ),
    "RCL1031": Explanation(
        "an RPO that cannot be held",
        "Points are made more rarely than the RPO asks for.",
        "Synchronize more often, or write a longer rpo.",
    ),
    "RCL1032": Explanation(
        "a display name twice",
        "Two groups on one server would have the same name.",
        "Give one of them another displayName.",
    ),
    "RCL1033": Explanation(
        "an earlier name that is in use",
        "renamedFrom names a group that exists now.",
        "Take the name out of renamedFrom, or remove that group.",
    ),
    "RCL1034": Explanation(
        "fewer points than wanted",
        "The retention is too short for the least number of points; the floor keeps them longer.",
        "Write a longer retention or a shorter interval.",
    ),
    "RCL1035": Explanation(
        "two servers in one folder",
        "Two embedded servers would write into the same folder.",
        "Give each a folder of its own.",
    ),
    "RCL1036": Explanation(
        "an ignore rule that ended",
        "Its last day has passed: the field is compared again, in diff and in apply.",
        "Take the rule out, or prolong it with a reason.",
    ),
    "RCL1050": Explanation(
        "this engine cannot hold it",
        "The engine of the group's server has no such setting, so that the difference would never end.",
        "Leave the field out, or use a server with another engine.",
    ),
    "RCL1051": Explanation(
        "a field that cannot be ignored",
        "An ignore rule names a field that is not compared, or one that must not differ unseen.",
        "Write one of the fields that the message lists.",
    ),
    "RCL1052": Explanation(
        "recoveryPoints beside an interval",
        "Whole machines and applications get their points from each synchronization, or from each express "
        "full (docs/reference/policies.md, which runs make recovery points); recoveryPoints is for files, and"
        " for `synchronization: beforeRecoveryPoint`.",
        "Leave recoveryPoints out, or write `synchronization: beforeRecoveryPoint`.",
    ),
    "RCL1053": Explanation(
        "expressFull that nothing uses",
        "Just before a recovery point, and for files, points are made at the times of recoveryPoints alone.",
        "Leave expressFull out.",
    ),
    "RCL1054": Explanation(
        "no times for recovery points",
        "Files, and every member under `synchronization: beforeRecoveryPoint`, get points at the times of "
        "recoveryPoints; without it there would never be one.",
        "Write recoveryPoints: {times: [...]}.",
    ),
    "RCL1055": Explanation(
        "machines on MABS without express fulls",
        "MABS makes recovery points of whole machines at each express full, not at each synchronization "
        "(article 'Back up Azure Stack HCI virtual machines', note on application workloads).",
        "Write expressFull: {times: [...]}.",
    ),
    "RCL1056": Explanation(
        "more often than MABS backs up",
        "Azure Backup's support matrix gives 15 minutes for SQL Server and one hour for other workloads "
        "(backup-support-matrix).",
        "Write 1h or more.",
    ),
    "RCL1057": Explanation(
        "too many points of files in a day",
        "MABS schedules at most 8 recovery points a day for files (backup-support-matrix).",
        "Write fewer times.",
    ),
    "RCL1058": Explanation(
        "too many points of files at once",
        "Points of files are volume shadow copies, of which Windows keeps 64 (backup-support-matrix).",
        "Write fewer times or days, or a shorter retention.",
    ),
    "RCL1059": Explanation(
        "too many express fulls at once",
        "MABS keeps 448 recovery points on disk for an application server (backup-support-matrix).",
        "Write fewer times or days, or a shorter retention.",
    ),
    "RCL1060": Explanation(
        "too many online copies in a day",
        "Azure Backup takes at most two online copies a day from MABS (backup-support-matrix).",
        "Write at most two times.",
    ),
    "RCL1061": Explanation(
        "online copies kept too shortly",
        "With the vault's security features on, Azure keeps at least 7 daily, 4 weekly and 3 monthly copies "
        "and 1 yearly one (backup-azure-security-feature).",
        "Write 7d, 4w, 3mo, 1y or more.",
    ),
    "RCL1062": Explanation(
        "too many online points",
        "A protected instance has at most 9,999 online points (backup-support-matrix).",
        "Keep fewer copies, or for a shorter time.",
    ),
    "RCL1063": Explanation(
        "bare metal and system state of one host",
        "Bare metal contains system state; MABS protects a computer as one of them (backup-mabs-system-state-and-bmr).",
        "Protect each host as one of them.",
    ),
    "RCL1064": Explanation(
        "a very large pool",
        "A MABS server is meant for 120 TB of storage at most (DPM, prepare-environment-for-dpm: a soft limit).",
        "Divide it among several servers.",
    ),
    "RCL1065": Explanation(
        "a backup window without machines alone",
        "MABS has backup windows for groups of whole machines only [Set-DPMBackupWindow].",
        "Leave backupWindow out, or make a group of its own for the machines.",
    ),
    "RCL1066": Explanation(
        "level and protect do not fit",
        "Whole machines (level: host) take no `protect`; guests need one; hosts are bareMetal or systemState.",
        "Write the two as the message says.",
    ),
    "RCL1067": Explanation(
        "this engine cannot read that cluster",
        "The embedded engine reads the files of a cluster on disk; a Hyper-V cluster is backed up by MABS.",
        "Use a server with the mabs engine, or a cluster whose inventory is a directory.",
    ),
    "RCL1068": Explanation(
        "online copies without days",
        "Online protection has at least one tier; monthly and yearly copies are made on days of the month, or"
        " on days of the week in some weeks, not on both.",
        "Write daysOfMonth, or weeks and days.",
    ),
    "RCL1072": Explanation(
        "an expression that does not compile",
        "The text is no CEL, or names something that rules do not have: object, oldObject, change and params "
        "are what there is.",
        "Correct it; the place is where CEL stopped. docs/reference/guardrails.md has examples.",
    ),
    "RCL1073": Explanation(
        "a file that cannot be formatted",
        "Formatting would have changed what the file says, or lost a comment; so it was left as it is.",
        "Lay it out by hand, or simplify it: unusual anchors and tags are the common causes.",
    ),
    "RCL1074": Explanation(
        "a file of cases that is wrong",
        "`reconciler policy test` reads documents with the fields guardrail and cases; a case has a name, "
        "what is expected, and object, oldObject or change.",
        "Correct it as docs/reference/guardrails.md shows.",
    ),
    "RCL1080": Explanation(
        "a consistency check at backup time",
        "The scheduled consistency check reads the same machines while the group's backup window is open or "
        "its express full runs.",
        "Move one of them.",
    ),
    "RCL1081": Explanation(
        "two groups with one policy",
        "Groups that differ in nothing but their members could be one group, which makes colocation and "
        "reading easier (article 'Back up Azure Stack HCI virtual machines', step 4).",
        "Join them, or leave them apart where different people own them.",
    ),
    "RCL1082": Explanation(
        "colocation is off",
        "Without colocation each data source has a replica and a recovery-point volume of its own, which "
        "needs more space (article 'Back up Azure Stack HCI virtual machines', step 4).",
        "Write colocate: true, or leave it.",
    ),
    "RCL1083": Explanation(
        "an initial replica in working hours",
        "Making the initial replica reads every disk whole; an off-peak time is recommended (article 'Back up"
        " Azure Stack HCI virtual machines', step 8).",
        "Write a later time, in the evening or at a weekend.",
    ),
    "RCL1085": Explanation(
        "a schedule coarser than the retention",
        "Between two scheduled points more time passes than points are kept; only the floor of minimumPoints "
        "keeps any.",
        "Make points more often, or keep them longer.",
    ),
    "RCL1086": Explanation(
        "an exclusion without a real reason",
        "The reason is a placeholder; an auditor will ask.",
        "Write why these machines need no backup.",
    ),
    "RCL1090": Explanation(
        "checks that were not run",
        "Some checks compare the policies with the cluster, and none could be seen.",
        "Give --inventory FILE (`reconciler inventory snapshot` writes one). `validate` opens no cluster by itself, "
        "since the policies may be a stranger's.",
    ),
    "RCL1091": Explanation(
        "a link that cannot be followed",
        "A link in the policy folder leads out of the root, to nothing, in a circle, or to a folder that it is in. What"
        " it should lead to would be missing without a word, and a commit cannot hold what is outside of it.",
        "Let it lead to a file or folder below the root (the folder that holds policies/), or remove it.",
    ),
    "RCL1092": Explanation(
        "something that looks like policies and is not read",
        "Policy files are those whose names end in .yaml or .yml. Names that begin with a dot are read only where a"
        " link leads to them, as Kubernetes mounts a ConfigMap.",
        "Rename it if it holds policies; else move it out of the policy folder.",
    ),
    "RCL1093": Explanation(
        "a policy folder beyond all bounds",
        "The folder is nested deeper, or holds more names, than is read. Nothing is planned from a part of it.",
        "Divide the policies among sites, or move what is none out of the policy folder.",
    ),
    "RCL1094": Explanation(
        "policies of another Git repository",
        "A submodule, or a folder with a .git of its own, lies in the policy folder. Its files are in no commit of this"
        " repository, so no review would see a change of them.",
        "Add the files themselves, or keep it outside of the policy folder and let a link lead to it.",
    ),
    "RCL1095": Explanation(
        "file names that differ in letter case alone",
        "On disks that do not tell letter case apart, as on Windows and macOS, only one of the files is there.",
        "Rename one of them.",
    ),
    "RCL1096": Explanation(
        "too many mistakes",
        "The policies have more mistakes than are told at once. The documents after that were not looked at.",
        "Correct what is told, and validate again.",
    ),
    "RCL1097": Explanation(
        "a name with letters of several scripts",
        "Letters of one script look like those of another: a Cyrillic a in a Latin name is not seen, and matches"
        " nothing that it seems to.",
        "Write the name anew with the letters that are meant.",
    ),
    "RCL1098": Explanation(
        "an approver without an e-mail address",
        "Nobody approves what he wrote himself, and who wrote a change stands in its commits as an e-mail address. An"
        " approver of another name would be nobody's author.",
        "Write the address that the approver's commits have. A file of allowed signers names the same address.",
    ),
    "RCL1041": Explanation(
        "an adapter that is not installed",
        "No installed package brings the engine or inventory of this name.",
        "Install it; the ones that ship are the embedded engine, and the inventories directory and snapshot. MABS "
        "and Hyper-V clusters are checked offline, and driven by a later version.",
    ),
}

#: RCL2xxx: inventory and prerequisites
_INVENTORY: dict[str, Explanation] = {
    "RCL2101": Explanation(
        "checkpoints",
        "The machine has checkpoints. What the disks hold without them is not its current state.",
        "Delete or merge the checkpoints. Backing up around them comes in a later version.",
    ),
    "RCL2102": Explanation(
        "Hyper-V Replica",
        "The machine takes part in Hyper-V Replica; its files may hold writes that were not applied yet.",
        "Exclude it or take it out of replication. Support comes in a later version.",
    ),
    "RCL2103": Explanation(
        "a disk outside the machine's files",
        "A pass-through or shared disk is not a file of the machine, so the host cannot read it as one.",
        "Protect its data inside the guest, or exclude the machine with a reason.",
    ),
    "RCL2104": Explanation(
        "an unreadable disk",
        "The container does not read as what it says it is: it is cut, damaged, or of a kind that is not known.",
        "Look at the disk in Hyper-V, and at the storage that it lies on.",
    ),
    "RCL2105": Explanation(
        "a differencing disk",
        "The disk stands on another one; alone it is not the machine's disk.",
        "Merge the chain. Support comes in a later version.",
    ),
    "RCL2106": Explanation(
        "an unreplayed VHDX log",
        "The disk's log holds writes that were never replayed; the container's bytes alone are an older state.",
        "Attach the disk once, or start the machine: Hyper-V replays the log.",
    ),
    "RCL2107": Explanation(
        "a machine without disks",
        "There is nothing to back up at host level.",
        "Exclude the machine with a reason, or look at its settings.",
    ),
    "RCL2108": Explanation(
        "an unknown fact",
        "Something that decides whether a machine can be backed up rightly is neither observed nor declared.",
        "State it in the inventory.",
    ),
    "RCL2110": Explanation(
        "a disk changed under the read",
        "A disk was written to while it was read, twice; a point of it would hold no moment that ever was.",
        "See what holds the disk open. Nothing was stored as a point; the job is tried again.",
    ),
    "RCL2111": Explanation(
        "two sites or servers in one place",
        "Two states, two stores, or a state and a store would lie under one path, and each would take the other's "
        "records for its own. The evidence of a state lies beside it under its name without the last ending.",
        "Give each a path of its own. Paths that differ by letter case or by the last ending alone are one here.",
    ),
    "RCL2001": Explanation(
        "a cluster that cannot be seen",
        "The cluster's folder, or its cluster.json, is not there or not readable, as when it is not mounted.",
        "Mount it, or correct its path in the site. No machine is taken for gone meanwhile.",
    ),
    "RCL2010": Explanation(
        "a machine that its cluster does not have",
        "The cluster has no role, or no readable configuration, for the machine.",
        "Its points are kept; recover it to a folder with --to.",
    ),
    "RCL2011": Explanation(
        "a file that cannot be read",
        "A disk or a configuration file of a machine is not there or not readable.",
        "Look at the machine on the cluster. What was backed up before is unharmed.",
    ),
    "RCL2201": Explanation(
        "no Hyper-V role for item-level recovery",
        "Files and folders of a machine are recovered by mounting its VHDs on the MABS server, which needs "
        "the Hyper-V role there (article, MABS prerequisites).",
        "Install the role, or write itemLevelRecovery: false.",
    ),
    "RCL2202": Explanation(
        "more than one server protects",
        "One MABS server protects up to 800 machines of 100 GB on average, 80 TB (article, MABS prerequisites).",
        "Place groups on further servers.",
    ),
    "RCL2203": Explanation(
        "agents and server do not know each other",
        "Same, child or trusted domain; else NTLM or certificate authentication for a single server, "
        "certificate alone for a cluster (article, MABS prerequisites).",
        "Set the authentication up, and write the server's agentAuthentication and the cluster's domain.",
    ),
    "RCL2204": Explanation(
        "pass-through disks",
        "Host-level backup does not see what is on pass-through disks; the machine's VHDs are backed up "
        "(article, MABS prerequisites).",
        "Protect what is on them at guest level.",
    ),
    "RCL2205": Explanation(
        "a deduplicated volume",
        "Machines on deduplicated volumes are backed up (article, MABS prerequisites); item-level recovery "
        "from a deduplicated guest volume does not work (dpm-support-issues).",
        "Protect at guest level what single files must come back from.",
    ),
    "RCL2206": Explanation(
        "integration services that do not fit",
        "The integration services of the guest should be those of the host (article, VM prerequisites). "
        "Modern guests report no version; then the state of the protocol counts.",
        "Update them in the guest.",
    ),
    "RCL2207": Explanation(
        "too little free space for a backup",
        "While a machine is backed up its changes go to an AVHDX: initial size x churn x window, summed over "
        "what may run at once (article, VM prerequisites).",
        "Free space on the volume, shorten the windows, or spread the machines.",
    ),
    "RCL2208": Explanation(
        "Linux is file-consistent",
        "Of Linux machines only file-consistent points can be made (article, Linux prerequisites).",
        "Quiesce applications yourself where that is not enough.",
    ),
    "RCL2209": Explanation(
        "a shared disk",
        "Disks shared by several machines (shared VHDX, VHD sets) are not backed up (dpm-support-issues).",
        "Protect what is on them at guest level.",
    ),
    "RCL2210": Explanation(
        "no working protection agent",
        "The agent is needed on each node that owns a protected machine, and on those that one may move to "
        "(article, supported scenarios).",
        "Install or start the agent.",
    ),
    "RCL2211": Explanation(
        "a server too old for replica machines",
        "Replica machines are backed up by MABS on Windows Server 2012 R2 or later (article, replica virtual "
        "machines).",
        "Move the server to a newer Windows Server.",
    ),
    "RCL2212": Explanation(
        "no agent on a protected host",
        "System state and bare metal of a host are backed up by the agent on it (article, supported scenarios).",
        "Install or start the agent.",
    ),
    "RCL2213": Explanation(
        "no Windows Server Backup on a host",
        "Bare metal is backed up through Windows Server Backup on the host (backup-mabs-system-state-and-bmr).",
        "Install the feature.",
    ),
    "RCL2216": Explanation(
        "a machine that moved to another cluster",
        "A move to another cluster is not supported (article, supported scenarios). Nothing is deleted.",
        "Protect it where it is now by a rule of its own.",
    ),
    "RCL2220": Explanation(
        "Hyper-V Replica of a machine",
        "Whether the machine is a replica, or how it stands, could not be observed.",
        "State it in the inventory, or see to it that it can be observed.",
    ),
    "RCL2221": Explanation(
        "an unhealthy replica machine",
        "The replica machine is in a critical state; its backup fails (article, replica virtual machines).",
        "Repair the replication.",
    ),
    "RCL2222": Explanation(
        "a replica machine being resynchronized",
        "Resynchronization is in progress; its backup fails (article, replica virtual machines).",
        "Wait until it is over.",
    ),
    "RCL2223": Explanation(
        "a replica machine to be resynchronized",
        "Resynchronization is required; its backup fails (article, replica virtual machines).",
        "Resynchronize it.",
    ),
    "RCL2224": Explanation(
        "initial replication in progress",
        "The backup of the replica machine fails until it is over (article, replica virtual machines).",
        "Wait until it is over.",
    ),
    "RCL2225": Explanation(
        "initial replication pending",
        "The backup of the replica machine fails until it is done (article, replica virtual machines).",
        "Start the initial replication.",
    ),
    "RCL2226": Explanation(
        ".hrl logs being applied",
        "Crash consistency cannot be guaranteed meanwhile; the backup fails (article, replica virtual machines).",
        "Wait until it is over.",
    ),
    "RCL2227": Explanation(
        ".hrl logs that failed",
        "An earlier application of the .hrl logs failed; the backup fails (article, replica virtual machines).",
        "Repair the replication.",
    ),
    "RCL2228": Explanation(
        ".hrl logs that were canceled",
        "An earlier application of the .hrl logs was canceled; the backup fails (article, replica virtual machines).",
        "Resume the replication.",
    ),
    "RCL2229": Explanation(
        ".hrl logs that were interrupted",
        "An earlier application of the .hrl logs was interrupted; the backup fails (article, replica virtual "
        "machines).",
        "Resume the replication.",
    ),
    "RCL2230": Explanation(
        "a replica machine being migrated",
        "Migration is in progress; the backup fails (article, replica virtual machines).",
        "Wait until it is over.",
    ),
    "RCL2231": Explanation(
        "a replica machine that fails over",
        "Failover is in progress or done; the backup fails (article, replica virtual machines).",
        "Finish the failover, then protect the machine that runs.",
    ),
    "RCL2232": Explanation(
        "replica machines are crash-consistent",
        "VSS cannot guarantee more of a machine that is off (article, replica virtual machines).",
        "Protect the primary where applications must be consistent.",
    ),
    "RCL2240": Explanation(
        "prerequisites that could not be checked",
        "Facts that some checks need are not known.",
        "See `reconciler preflight`.",
    ),
    "RCL2020": Explanation(
        "an inventory that cannot be read",
        "The exported inventory is not there, or this account may not read it.",
        "Export one with `reconciler inventory snapshot`, or correct the path.",
    ),
    "RCL2021": Explanation(
        "no exported inventory",
        "The file is not what `reconciler inventory snapshot` writes, is of a newer major version, is not whole,"
        " or lacks a cluster of the site.",
        "Export one anew.",
    ),
    "RCL2012": Explanation(
        "a path that leads out",
        "A path stands outside the folder that it should lie in.",
        "Correct the path. Nothing outside the folder is read or written.",
    ),
    "RCL2022": Explanation(
        "a catalog that cannot be read",
        "The exported catalog is not there, or this account may not read it.",
        "Export one with `reconciler catalog snapshot`, or correct the path.",
    ),
    "RCL2023": Explanation(
        "no exported catalog",
        "The file is not what `reconciler catalog snapshot` writes, is of a newer major version, or is not whole.",
        "Export one anew.",
    ),
    "RCL2024": Explanation(
        "exported files that do not fit the site",
        "The inventory lacks a cluster of the site, or the catalog lacks a server of it or holds another site's ledger."
        " A plan from a part would take what it does not see for gone.",
        "Export both anew, with this site's policies.",
    ),
    "RCL2025": Explanation(
        "the other side cannot be looked at",
        "With --inventory alone the servers are asked, with --catalog alone the clusters, and that failed.",
        "Give both files, or run where the other side can be seen.",
    ),
    "RCL2026": Explanation(
        "a virtual machine that cannot be read",
        "The role of the virtual machine is there, but its files cannot be read: damaged, not JSON, or not readable "
        "for this account. It counts as unseen. Nothing is concluded from that: it stays a member where it was one.",
        "Correct the file that is named, or make it readable.",
    ),
}

#: RCL3xxx: plan and apply
_PLAN: dict[str, Explanation] = {
    "RCL3001": Explanation(
        "a rule matches nothing",
        "A membership rule of a group matches no machine of its cluster at the moment.",
        "Compare names and labels with `reconciler status`. A machine that appears later is taken in by itself.",
    ),
    "RCL3002": Explanation(
        "a member is missing",
        "A machine that the group protects is not shown by its cluster. It stays a member; its points are kept.",
        "If it is gone for good, change the rule so that it no longer matches; nothing else removes it.",
    ),
    "RCL3003": Explanation(
        "excluded and protected",
        "A machine is matched by a protection group and by an exclusion that still counts.",
        "Take it out of one of the two: `except` in the group, or a narrower exclusion.",
    ),
    "RCL3004": Explanation(
        "in two groups",
        "One data source is matched by two protection groups; it can be protected by one only.",
        "Take it out of one of them with `except`, or narrow the names or labels.",
    ),
    "RCL3005": Explanation(
        "another machine under an old name",
        "A machine has the name of one that is gone, but another id. Names are not identity; ids are.",
        "Nothing needs to be done: the new machine gets a replica of its own. The old points stay recoverable.",
    ),
    "RCL3006": Explanation(
        "retention out of range",
        "The backup server cannot keep recovery points for as long, or as short, as the policy says.",
        "Write a retention within the range that the message names.",
    ),
    "RCL3007": Explanation(
        "interval not offered",
        "The backup server does not synchronize at this interval.",
        "Choose one of the intervals that the message names.",
    ),
    "RCL3008": Explanation(
        "somebody else's group",
        "The backup server has a group of the same name that is not in this site's ledger. It is never touched.",
        "Take it over with `reconciler apply --adopt GROUP`, name the policy differently, or remove the group on the "
        "server.",
    ),
    "RCL3009": Explanation(
        "a group without a policy",
        "A group that this product made is in no policy any more, and the site says `prune: false`.",
        "Write the policy again, name the group in `renamedFrom`, or set `prune: true` to have it stopped.",
    ),
    "RCL3010": Explanation(
        "the plan is stale",
        "The group on the server is neither as the plan's before nor as its after: somebody changed it meanwhile.",
        "Make a new plan and look at it; nothing was changed by this step.",
    ),
    "RCL3011": Explanation(
        "not stopped from half a cluster",
        "A group should be stopped, but its cluster shows under half of its known machines, as if unmounted.",
        "Check that the cluster is there; the group is stopped at the next plan that sees it.",
    ),
    "RCL3012": Explanation(
        "the state is empty, the server is not",
        "This site's ledger is empty, but the backup server holds groups: the state may be lost or the wrong one.",
        "Restore the state database, or point `state` at the right one. Nothing was changed.",
    ),
    "RCL3013": Explanation(
        "consent needed",
        "The plan weakens protection: something that is protected now would be protected less.",
        "Run `reconciler apply` in a terminal and answer there. `--yes` does not cover this.",
    ),
    "RCL3014": Explanation(
        "the answer was lost",
        "The server did not say whether the change was made, and looking again did not show it.",
        "Run `reconciler plan`: it compares with what is really there.",
    ),
    "RCL3016": Explanation(
        "not applied",
        "Nobody said yes.",
        "Run the command again and answer yes, or give --yes where the change does not weaken protection.",
    ),
    "RCL3017": Explanation(
        "another group still has it",
        "A machine should join a group, but another group of the server protects it and does not let it go now.",
        "It stays protected where it is. Stop or change that group, then it moves.",
    ),
    "RCL3018": Explanation(
        "too many machines on a server",
        "One MABS server protects up to 800 machines of 100 GB on average (article 'Back up Azure Stack HCI "
        "virtual machines', prerequisites); the embedded engine keeps to the same number.",
        "Write narrower rules, place groups on another server, or add one.",
    ),
    "RCL3019": Explanation(
        "more data than the volumes hold",
        "The disks of the members together are larger than the volumes that the site gives to the server.",
        "Give the server more, write narrower rules, or place groups on another server.",
    ),
    "RCL3028": Explanation(
        "a first copy in working hours",
        "The plan makes a replica while people work; an off-peak time is recommended (article, step 8).",
        "Apply it in the evening, or leave it if the line can bear it.",
    ),
    "RCL3030": Explanation(
        "a group that is protected from deletion",
        "The document says deletionProtection: true and is removed in the same change; both at once would "
        "make the protection worthless.",
        "Set deletionProtection: false first, in a change of its own that is approved; then remove the document.",
    ),
    "RCL3031": Explanation(
        "denied by a guardrail",
        "A rule of the policies with `enforce: deny` does not hold.",
        "Change the policy so that it holds, or the guardrail, which is a weakening that must be approved.",
    ),
    "RCL3032": Explanation(
        "a guardrail wants an approval",
        "A rule of the policies with `enforce: approve` does not hold.",
        "Change the policy, or have the change approved.",
    ),
    "RCL3033": Explanation(
        "a guardrail warns",
        "A rule of the policies with `enforce: warn` does not hold.",
        "Think about it; nothing is stopped.",
    ),
    "RCL3034": Explanation(
        "a guardrail that cannot be evaluated",
        "The expression failed on this document: mostly a field that is not there. Or it took more than 2 seconds or"
        " 256 MiB, and was ended. A rule that cannot be asked denies.",
        "Ask with has(...) first, write it simpler, and try it with `reconciler policy test`.",
    ),
    "RCL3035": Explanation(
        "an approval that does not count",
        "It ended, its approver is not one of the site's or wrote the change himself, somebody else brought its file, "
        "it was removed once, its signature does not hold, or Git cannot tell who wrote the change: the message says "
        "why. Approvals are judged by the rules of the older state.",
        "Do as the message says. Mostly: have the change approved anew, by one who did not write it. Where no approver "
        "is left who did not, take the change back and let somebody else write it; in an emergency `reconciler apply "
        "--break-glass REASON`.",
    ),
    "RCL3036": Explanation(
        "a weakening that nobody approved",
        "The change weakens protection or destroys recovery points, and no valid approval names its hash.",
        "Have it approved: the command is printed. Or take the change back.",
    ),
    "RCL3043": Explanation(
        "a group that is protected from deletion has no policy any more",
        "The policy was removed, or names another server, and the ledger remembers `deletionProtection: true` of the "
        "group. It is not stopped.",
        "Write the policy again. To stop the group, apply it with `deletionProtection: false` first, then remove it.",
    ),
    "RCL3044": Explanation(
        "an approval allows less than the plan would lose",
        "The approval has a ceiling for the points that expire at once, and the plan expires more: time has passed, or "
        "the machines are others.",
        "Look at the plan. Have the loss approved as it is now, or wait.",
    ),
    "RCL3045": Explanation(
        "the approvers were changed without being approved",
        "Approvals are judged by the site as it was last applied. It names other approvers than the site as it is "
        "written now. A shorter list waits as well: with nobody left on it nothing could be approved ever after.",
        "Let one approve who was an approver and stays one; where none of those may, one who goes. In an emergency "
        "`apply --break-glass REASON` takes the new list over, and says so from then on.",
    ),
    "RCL3046": Explanation(
        "a plan is limited to something that is not there",
        "--server or --group names what neither the policies nor the ledger know.",
        "Use one of the listed names.",
    ),
    "RCL3047": Explanation(
        "approvals, budgets and windows were once passed over",
        "Somebody ran `apply --break-glass REASON`. It is in the journal and in the evidence, and every later plan "
        "says so.",
        "Look at what that run did, and whether it is as it should be.",
    ),
    "RCL3048": Explanation(
        "the server does not hold what was applied",
        "Right after the step the server shows another value than it was given: it rounds, or somebody changed it at "
        "once.",
        "Write the value that the server holds, or take the field out of the policy.",
    ),
    "RCL3049": Explanation(
        "the same difference is there after it was applied",
        "The plan after an apply has to be empty and is not. The message has the field and both values.",
        "Please report it. Until it is mended write the value that the server holds.",
    ),
    "RCL3021": Explanation(
        "a group that nobody owns yet",
        "A server holds this group just as the policy says, but it is not in this site's ledger: somebody else made "
        "it, or its server is called otherwise now. No change of the policy reaches it, so it waits for a person: "
        "`run` and `apply` end with exit code 5, `status --check` with 9.",
        "Take it over with `reconciler apply --adopt GROUP`. If it is not meant, give the policy another name.",
    ),
    "RCL3040": Explanation(
        "no saved plan",
        "The file is not what `reconciler plan --out` writes, or a newer major version wrote it. A newer "
        "minor version only adds fields.",
        "Make a new plan, or use the version that wrote this one.",
    ),
    "RCL3041": Explanation(
        "a saved plan that was changed",
        "The file does not fit its seal: somebody edited it, or it was cut. What was looked at is not what it"
        " says now.",
        "Make a new plan.",
    ),
    "RCL3042": Explanation(
        "no run to resume",
        "The journal has no such run of apply.",
        "See the id that `reconciler apply` printed.",
    ),
    "RCL3022": Explanation(
        "a backup window that is too short",
        "What changes on the group's machines in a day (their size times the site's churn) takes longer than "
        "the window at the server's throughput.",
        "Open the window wider, divide the group, or correct churn and throughput.",
    ),
    "RCL3023": Explanation(
        "much data over a slow line",
        "The initial replica would take longer than a day at the server's throughput; manual creation with "
        "removable media is meant for that (article 'Back up Azure Stack HCI virtual machines', step 8).",
        "Write replicaCreation: manual, or a later time.",
    ),
    "RCL3024": Explanation(
        "underprovisioned volumes",
        "By MABS's rule of thumb (size x (1 + churn x days x points a day) x 1.05, "
        "create-dpm-protection-groups) the members need more space than the volumes have.",
        "Add volumes, keep points for fewer days, or make fewer of them.",
    ),
    "RCL3025": Explanation(
        "many data sources on a volume",
        "At most 100 protected sources on one volume are recommended (create-dpm-protection-groups).",
        "Spread them over several volumes.",
    ),
    "RCL3026": Explanation(
        "a data source too large for Azure",
        "Azure Backup takes at most 54,400 GB of one data source (backup-support-matrix).",
        "Protect its parts at guest level, or on disk alone.",
    ),
    "RCL3027": Explanation(
        "too many data sources in a vault",
        "A vault holds at most 2,000 data sources (backup-support-matrix).",
        "Use another vault, or take groups out of online protection.",
    ),
    "RCL3020": Explanation(
        "an interval without effect",
        "MABS makes recovery points of whole machines at each express full; the interval changes nothing for "
        "them unless the server shows that they take incrementals.",
        "Nothing has to be done; beforeRecoveryPoint says the same more plainly.",
    ),
    "RCL3060": Explanation(
        "a step larger than a day's budget",
        "One step takes more of a budget than the site allows for a whole day, and it cannot be cut further: a "
        "machine is copied as a whole, a setting of a group counts for all its members.",
        "It is done on a day on which nothing else takes of that budget. Raise the budget in the site if waiting for "
        "that is too slow, or spread the machines over more groups.",
    ),
    "RCL3061": Explanation(
        "no change window opens",
        "The site's `changeWindows` allow no change within 400 days: dates that are past, or a `deny` that covers "
        "every `allow`.",
        "Correct `changeWindows` in the site; `deny` wins over `allow`.",
    ),
    "RCL3062": Explanation(
        "too many policies are gone",
        "All of the groups that this product owns on the site have no policy any more, or at least half of them "
        "(from `minimumPopulation` groups on, 5 by default). That looks like a lost or half-copied folder, so no group "
        "is stopped for it, and it waits for a person: `run` and `apply` end with exit code 5.",
        "Write the policies again. If the groups are to go, have the removal of each approved, or remove fewer at "
        "once.",
    ),
    "RCL3070": Explanation(
        "no recovery point is left",
        "By the change every recovery point of a machine expires at the first pruning that follows.",
        "Keep the points with `existingPoints: retain`, or recover what is still wanted first.",
    ),
    "RCL3071": Explanation(
        "the last verified recovery point goes",
        "The newest point that was verified expires by the change; those that stay were never proven to come back.",
        "Verify a newer point first.",
    ),
    "RCL3072": Explanation(
        "one recovery point is left",
        "By the change all recovery points of a machine but one expire at the first pruning that follows.",
        "Make newer points first, or keep the points for longer.",
    ),
    "RCL3073": Explanation(
        "points of an inconsistent replica expire",
        "The change makes points expire while the replica is inconsistent, so those that stay may not be whole.",
        "Run a consistency check first.",
    ),
    "RCL3074": Explanation(
        "protection stops with an inconsistent replica",
        "After protection has stopped no consistency check repairs the replica, and its points may not come back.",
        "Run a consistency check first.",
    ),
    "RCL3075": Explanation(
        "the server prunes by itself",
        "MABS decides by itself which recovery points expire; the plan tells what its documentation says: by age, "
        "without floors.",
        "Look at the recovery points on the server before you shorten what it keeps.",
    ),
    "RCL3076": Explanation(
        "first copies do not fit",
        "The sizes of the new members are more than the volume, or the disk that it lies on, has free. What expires "
        "does not count: it is given back later, and less of it where points share blocks.",
        "Give the volume more capacity, name another one, or protect fewer machines at once.",
    ),
    "RCL3080": Explanation(
        "a value that the server rounds",
        "The server made something else of what was applied, and still holds that. Applying it again would give the "
        "same, so no change is planned for it.",
        "Write in the policy what the server holds, or leave it: the warning stays.",
    ),
    "RCL3090": Explanation(
        "a group is placed on a server that lacks its preferred volume",
        "`server: auto` chose the server by a placement rule, or the group is there already; the volume is another's.",
        "Prefer a volume of that server, name the server in the group, or correct the placement rule.",
    ),
    "RCL3091": Explanation(
        "two groups say that they are the same earlier group",
        "Both name it under `renamedFrom`; its replicas and points can go on in one of them alone.",
        "Take the name out of one of them.",
    ),
    "RCL3092": Explanation(
        "another group on the server keeps the name",
        "A group that is not changed by this plan has the same name or displayName, and servers want them unique.",
        "Choose another displayName, write the old group under `renamedFrom`, or have it stopped first.",
    ),
    "RCL3093": Explanation(
        "groups would swap their names",
        "Each takes the name that the other gives up, so none of the steps can be done first.",
        "Do it in two commits: a new name for one of them, then the final ones.",
    ),
    "RCL3094": Explanation(
        "credentials in a URL of the policies",
        "A user, a password or a token stands in an endpoint. Policies are shown, compared and kept in the state.",
        "Write a reference beside the URL, such as `credential: env:NAME`, and change what was written there.",
    ),
}

#: RCL4xxx: the embedded engine and its store
_STORE: dict[str, Explanation] = {
    "RCL3101": Explanation(
        "a file that is no plan of this site",
        "Its steps name a server that the site does not have, have one id twice, or do not follow each other.",
        "Make a new plan with `reconciler plan --out FILE`; ask where the file comes from.",
    ),
    "RCL3102": Explanation(
        "a saved plan says something else than it would do",
        "Of a saved plan only the objects and their values before and after are taken. What it says of direction, "
        "names, cost and approvals is worked out anew, and here it differs: the file was changed by hand.",
        "Do not apply it before you know who changed it. Make a new plan.",
    ),
    "RCL3103": Explanation(
        "a change of the site, of its guardrails or of a group's document that nobody agreed to",
        "The fields of the site (approvers, budgets, change windows, time zone, prune, what is opened), its allowed "
        "signers and its guardrails count as they were when it was last applied, until what weakens them is approved. "
        "Likewise a group's whole document, where something in it weakens that no step shows, as a label does.",
        "Have it approved with `reconciler approve`; where the site names no approvers, run `reconciler apply` in a "
        "terminal.",
    ),
    "RCL3105": Explanation(
        "the state of another site",
        "The state belongs to the site that was applied with it. The policies call the site otherwise now; if that "
        "were taken over, a change could bring its own approvers and rules by a new name.",
        "Name the site as it was. Another site has a state of its own.",
    ),
    "RCL3104": Explanation(
        "a site that was never applied names something outside of its root",
        "Before the first apply nobody has said that an endpoint or a path outside of the root is ours; a plan of a "
        "stranger's change would sign in there.",
        "See that it is yours, then run `reconciler apply`, which names what it opens.",
    ),
    "RCL3106": Explanation(
        "another state than the one that the site was applied with",
        "The root has a note, in `.reconciler/`, of the state that the site was applied with: who it is and where it "
        "was. The policies name another place now, where there is no state or another one. With an empty state nothing "
        "is remembered of approvers, guardrails and groups, so a change could begin anew by its own rules.",
        "Put `state` back as it was; or move the state there, and then change `state`. If it is lost, restore a "
        "backup. `reconciler apply --adopt '*'` begins anew, and names what it opens.",
    ),
    "RCL3107": Explanation(
        "a step of a saved plan that no policy asks for",
        "The step does otherwise than the file tells, or takes a group where neither the policies as they are nor what "
        "is on the server have it: the file was changed by hand, or the policies went on since it was made.",
        "Make a new plan. To do the step nevertheless, run `reconciler apply FILE` in a terminal and answer there; "
        "--yes does not answer for it. An approval of the step, where it weakens, does.",
    ),
    "RCL3108": Explanation(
        "Git does not answer",
        "A call of the program git, which only reads what lies on a disk, took longer than a minute and was ended.",
        "See that the disk answers, and that no named pipe lies in the .git folder.",
    ),
    "RCL3109": Explanation(
        "a repository that would hold Git for ever",
        "Where Git reads a file, a named pipe or a device lies: its settings, a file that they take in, the name of "
        "what is checked out. Such a tree is unpacked or shared, never cloned.",
        "Remove it, or clone the repository anew.",
    ),
    "RCL3110": Explanation(
        "a state that comes with the policies",
        "The database of the state, the note of it in `.reconciler/`, the evidence, a store, or what is read beside "
        "one of them (the logs of a database) is a file of the commit, in whatever letter case. By a state it is "
        "judged who may approve: whoever may write the policies could bring one of his own, or a log that lays other "
        "pages over yours, and a checkout writes over files that Git was told to ignore.",
        "If it is your own, committed by mistake: `git rm --cached`, and name its folder in .gitignore. Else take "
        "back the commit that brought it (`git revert`), and where that wrote over yours, restore the state.",
    ),
    "RCL3115": Explanation(
        "a Git repository that does not tell what is checked out",
        "A `.git` is there, in the root or above it, and Git cannot read its HEAD: a part of it is missing or damaged, "
        "or it leads to a repository that is elsewhere. That is not taken for no repository: nobody knows then who "
        "wrote the policies, so no approval counts. Backups go on.",
        "See `git status` and `git fsck` there, or clone the repository anew.",
    ),
    "RCL4001": Explanation(
        "a store of another format",
        "The folder of the embedded server has a format that this version does not know.",
        "Use the version that wrote it, or a newer one. Nothing was changed.",
    ),
    "RCL4002": Explanation(
        "a damaged catalog",
        "SQLite finds the catalog of a replica store damaged.",
        "Keep the folder. The packs carry footers from which a catalog can be made anew; look at the disk first.",
    ),
    "RCL4003": Explanation(
        "no space",
        "A volume of the pool, or the disk under it, is full.",
        "Give the volume more capacity, make room on the disk, or keep points for less long. Nothing was lost.",
    ),
    "RCL4004": Explanation(
        "a damaged block",
        "A stored block does not read back as it was written.",
        "Run `reconciler check VM`: blocks that the source still holds are stored anew. Look at the disk.",
    ),
    "RCL4005": Explanation(
        "a damaged pack",
        "A pack file is missing, cut, or contradicts the catalog.",
        "Run `reconciler check VM`: blocks that the source still holds are stored anew. Look at the disk.",
    ),
    "RCL4006": Explanation(
        "a point that cannot be recovered whole",
        "The map of a recovery point, or a block that it needs, is lost.",
        "Newer points are unharmed. Recover from another point; look at the disk that the store lies on.",
    ),
    "RCL4007": Explanation(
        "a job is already at work",
        "Two jobs never write one replica at the same time.",
        "Wait; the job is tried again by itself.",
    ),
    "RCL4009": Explanation(
        "an unknown volume",
        "A group prefers a volume that its server does not have.",
        "Name a volume of the server's pool in the policy.",
    ),
    "RCL4010": Explanation(
        "no initial replica yet",
        "Nothing can be synchronized or checked before the initial replica is there.",
        "It is made first, by itself, at the next tick.",
    ),
    "RCL4011": Explanation(
        "points that may not expire",
        "The newest point, the last verified one, and the least number that the group keeps never expire.",
        "Nothing was expired; nothing needs to be done.",
    ),
    "RCL4012": Explanation(
        "not protected here",
        "The machine has no replica on this server.",
        "Add it to a protection group and apply.",
    ),
    "RCL4013": Explanation(
        "a cluster without bytes",
        "The server was asked about a machine of a cluster whose files it cannot read.",
        "Name the cluster in the site, with a directory inventory.",
    ),
    "RCL4014": Explanation(
        "the disk failed",
        "Reading or writing a file failed.",
        "Look at the disk that the message names; what was there before is unharmed.",
    ),
    "RCL4015": Explanation(
        "the server is busy",
        "The backup server cannot do this now.",
        "It is tried again by itself; nothing was changed.",
    ),
    "RCL4016": Explanation(
        "store and source on one file system",
        "The backup lies on the same file system as the machines that it is of.",
        "Put the store on other disks, in another room if you can.",
    ),
    "RCL4021": Explanation(
        "a part of the store is missing",
        "A server's store, a volume, a replica store or its catalog is on record and is not there. Nothing was made in "
        "its place: it may be on a disk that is not mounted.",
        "Mount the disk. If a database was lost, run `reconciler store rebuild SERVER` or put a backup of it back. If "
        "the store is gone for good, run `reconciler store declare-lost SERVER [--volume V] --reason TEXT`.",
    ),
    "RCL4022": Explanation(
        "a damaged row of the store",
        "A row of the catalog or of the server's database is not as it was written, or rows are missing. Points that "
        "are not named are listed and can be recovered.",
        "Look at the disk that the store lies on, then run `reconciler store rebuild SERVER`.",
    ),
    "RCL4023": Explanation(
        "a store that was exchanged",
        "A store, volume, replica store or catalog is another one than that on record: two were exchanged, or one was "
        "copied over another.",
        "Put back what was there. Nothing was written.",
    ),
    "RCL4024": Explanation(
        "a damaged copy",
        "A small file or a copy of a map is missing or not as it was written. What it is a copy of may be sound.",
        "Look at the disk that the store lies on; `reconciler store check` says what else is damaged.",
    ),
    "RCL4025": Explanation(
        "a database of the store is older than it was",
        "The catalog or the server's database has been further before: an old copy was put in its place, or a snapshot "
        "of the disk was rolled back. Points that it does not know would be lost if it were written to.",
        "Put the newest copy back, or run `reconciler store rebuild SERVER`.",
    ),
    "RCL4028": Explanation(
        "recovery points that are not in what was made anew",
        "Jobs on record made newer recovery points than there are copies of maps in the replica store: its data was "
        "put back from an older copy, or a part of it was lost. The newest point never expires, so it should be there.",
        "Put the newer folder of the replica store back, if there is one, and run `reconciler store rebuild` again "
        "before the next job. Else the points are lost; what is there is sound and goes on.",
    ),
    "RCL4027": Explanation(
        "nothing says whose it is, or another one's",
        "A database cannot be made anew: no identity file, copy of a map or record says whose folder it is, or what is "
        "there says that it belongs to another store.",
        "Restore the database from a backup, or put back the folders that were exchanged.",
    ),
    "RCL4026": Explanation(
        "no right to read or write",
        "The account that runs the command may not read, or not write, the file that the message names.",
        "Run it as the account that owns the folder, or grant this one the right. Reading needs only read access.",
    ),
}

#: RCL5xxx: state: ledger, journal, locks
_STATE: dict[str, Explanation] = {
    "RCL5001": Explanation(
        "a newer program wrote this",
        "The database has a schema version that this program does not know.",
        "Use the version that wrote it, or a newer one. Nothing was changed.",
    ),
    "RCL5002": Explanation(
        "a database cannot be read",
        "SQLite finds the file damaged, or it is no database.",
        "Keep the file for diagnosis, restore a backup of it, and check the disk.",
    ),
    "RCL5003": Explanation(
        "somebody is at work on the site",
        "Another process holds the site's lease: two must not change one site at once.",
        "Wait for it, or stop it. A process that died on this machine is noticed at once, others by the lease's end.",
    ),
    "RCL5004": Explanation(
        "the lease was lost",
        "Another process took over the site, or the server has seen a newer one; this one writes nothing more.",
        "Start the command again once the other one has ended.",
    ),
    "RCL5005": Explanation(
        "the state database cannot be opened",
        "The file or its folder cannot be made or read by this account.",
        "Correct `state` in the site, or the folder's permissions.",
    ),
    "RCL5040": Explanation(
        "the state is open for reading only",
        "A command that only reads tried to write, or the state may not be written by this account.",
        "Run the command as the account that owns the state. Nothing was changed.",
    ),
    "RCL5041": Explanation(
        "there is no state",
        "The state database is not where the site says. Reading never makes one: a lost state is not taken for a new "
        "one.",
        "Mount its disk, restore it with `reconciler state restore BACKUP`, or begin with `reconciler apply`, with "
        "--adopt where the servers hold groups.",
    ),
    "RCL5042": Explanation(
        "the evidence is not the one that the state wrote",
        "The state has on record how many records of evidence there are and the hash of the last one. The folder is "
        "missing, has fewer, or is another one, such as that of another site. A chain never begins again by itself. "
        "Backups and recoveries go on without it: what they owe to it is kept in the state, and written then. "
        "Nothing of the policies is applied meanwhile.",
        "Mount the disk or put the folder back from a copy, an export or a backup of the state. Where there is none, "
        "`reconciler evidence declare-lost --reason TEXT` says so on record and begins a new chain.",
    ),
    "RCL5043": Explanation(
        "the store of a server is missing",
        "The state has this store on record, or groups that were applied there, and nothing is at its path: the disk "
        "is not mounted, or the store was removed. It is never taken for a new one.",
        "Mount the disk. Where it is lost, `reconciler store declare-lost SERVER --reason TEXT` says so on record.",
    ),
    "RCL5044": Explanation(
        "the store of a server is not the one on record",
        "Another store is at its path, or an older copy of it: its identity or its generation is not as it was seen.",
        "Put back what was there. Nothing is written to another one; an older copy can be recovered from, to a folder.",
    ),
    "RCL5045": Explanation(
        "the state is an older copy",
        "A store has on record that a later generation of this state wrote to it: the state was rolled back, by a copy "
        "or a snapshot of its disk. State and stores that were rolled back together look alike: only an anchor of the "
        "evidence that is kept elsewhere shows that.",
        "Put the newest state back, or restore a backup: that goes on past every generation that was reached. What is "
        "in the store can be recovered from meanwhile, to a folder.",
    ),
    "RCL5046": Explanation(
        "first use of a server or of a volume",
        "The server has no store yet, and the state has never used one there; or nothing was ever stored on the "
        "volume. Applying, or the first job, makes it, on record.",
        "If a store should be there, mount its disk first.",
    ),
    "RCL5047": Explanation(
        "no such server or volume",
        "What was declared lost is not in the Site.",
        "Name a server of the site, and a volume of that server.",
    ),
    "RCL5048": Explanation(
        "nothing is lost",
        "The store or the evidence is there and is the one on record, so it is not given up.",
        "See `reconciler store check` or `reconciler evidence verify`.",
    ),
    "RCL5049": Explanation(
        "giving recovery points up has to be confirmed",
        "Declaring a store lost gives up every recovery point in it.",
        "Answer in a terminal, or give --yes. Where the site names approvers, one of them approves it first: "
        "`reconciler approve --lost SERVER [--volume V]`.",
    ),
    "RCL5050": Explanation(
        "no such job is running",
        "The id is of no running job, and of no virtual machine that has one.",
        "See `reconciler jobs`.",
    ),
    "RCL5052": Explanation(
        "the decision to expire points is out of date",
        "Groups were changed, or a lease was taken away by hand, after it was decided which points expire.",
        "Nothing expired. The loop decides anew at its next tick.",
    ),
    "RCL5054": Explanation(
        "the backup of another state",
        "The present state and the backup each say who they are, and they are two: the backup is of another site of "
        "this name, or of this one before its state was begun anew. Stores refuse a state that they do not know.",
        "Name the right backup. If the other state is meant, as where the present one was begun by mistake, answer in "
        "a terminal or give --another-state; the present one is kept beside it.",
    ),
    "RCL5053": Explanation(
        "two servers have one store",
        "The paths of two servers, of one site or of two sites, lead to the same folder by a link or a mount, or one "
        "is a copy of the other with its identity. Each would take the other's writing for a newer copy of its own.",
        "Give each server of each site a store of its own.",
    ),
    "RCL5020": Explanation(
        "the evidence does not read",
        "A line of the evidence is no record: it was edited, cut or overwritten.",
        "Keep the folder as it is. `reconciler evidence verify` says where the chain breaks; compare it with a copy.",
    ),
    "RCL5006": Explanation(
        "a database cannot be written",
        "SQLite could not write: the disk is full or failing, or another process keeps the file locked.",
        "Make room, or look at the disk. Nothing was changed.",
    ),
    "RCL5021": Explanation(
        "the evidence cannot be written",
        "The disk that the evidence is on is full or failing. Backups and recoveries go on: what they owe is kept "
        "in the state and written before anything else. Nothing of the policies is applied meanwhile.",
        "Make room, or look at the disk, and run the command again. The chain is as it was before.",
    ),
    "RCL5022": Explanation(
        "a record of the evidence was changed",
        "A record is not as the one after it, or its number, says that it was written.",
        "Keep the folder as it is, and compare the record with a copy: an export, or a backup of the state.",
    ),
    "RCL5023": Explanation(
        "records of the evidence are missing",
        "The numbers of the records have a gap: some were taken out.",
        "Keep the folder as it is, and look for the missing ones in a copy: an export, or a backup of the state.",
    ),
    "RCL5024": Explanation(
        "a record of the evidence is out of order",
        "A record stands where another one belongs: it was moved, written twice, or put in.",
        "Keep the folder as it is, and compare it with a copy: an export, or a backup of the state.",
    ),
    "RCL5025": Explanation(
        "the evidence is not as its anchor has it",
        "A segment that was sealed has other bytes now. Its last record was changed, records after it were cut off, or "
        "the whole segment was written anew.",
        "Keep both as they are. If the anchor is the right one, trust an older copy of the segment, not this one.",
    ),
    "RCL5026": Explanation(
        "a segment of the evidence is missing",
        "The anchor names a segment that is not there.",
        "Look for it in a copy: an export, or a backup of the state.",
    ),
    "RCL5027": Explanation(
        "no anchor",
        "The file is not a list of hashes and segments as `reconciler evidence seal` writes it.",
        "Give the SHA256SUMS that was kept. Where it is the one in the evidence's own folder, put the kept copy back.",
    ),
    "RCL5028": Explanation(
        "a record that was never finished",
        "The last bytes are not a whole line: the process was killed while it wrote, or the disk was full.",
        "Nothing has to be done. The bytes are put aside when the next record is written, and that one tells of them.",
    ),
    "RCL5029": Explanation(
        "a machine that no record names",
        "The evidence has no record of a machine of this name or id.",
        "Use the name that it had then, or its id. Evidence begins with the first run of a version that writes it.",
    ),
    "RCL5030": Explanation(
        "a name that several machines had",
        "The evidence has records of several machines of this name: at one time, or one after the other.",
        "Ask by the machine's id.",
    ),
    "RCL5031": Explanation(
        "something is there already",
        "An export never writes over anything.",
        "Give a new folder, or a new file that ends in .tar.",
    ),
    "RCL5032": Explanation(
        "no evidence",
        "There are no records where they should be.",
        "They begin with the first run that changes something. See that the folder, or `state` in the site, is right.",
    ),
    "RCL5033": Explanation(
        "evidence that is not sealed",
        "The chain is not as it was written, or not that of the anchor that was kept. Sealing would vouch for it.",
        "Run `reconciler evidence verify`, and compare the folder with a copy.",
    ),
    "RCL5034": Explanation(
        "an anchor without the right signature",
        "The anchor's signature is missing, is of another file, or is by somebody else.",
        "Take anchor and signature from where they were kept, and check the list of signers.",
    ),
    "RCL5007": Explanation(
        "a lease that was not released",
        "Somebody holds the site, and nobody said that the lease may be taken away.",
        "See `reconciler lock show`. Run `reconciler lock release` again and answer yes, or give --yes.",
    ),
    "RCL5008": Explanation(
        "no backup of a state",
        "The file is not what `reconciler state backup` writes, or a newer major version wrote it.",
        "Name another file, or use the version that wrote this one. Nothing was changed.",
    ),
    "RCL5009": Explanation(
        "a damaged backup of a state",
        "The file does not read back as it was written: a part is missing or cut, or does not fit its SHA-256.",
        "Take another backup, or another copy of this one. Nothing was changed.",
    ),
    "RCL5010": Explanation(
        "a backup of another site",
        "The state in the file belongs to another site; its ledger knows other groups.",
        "Name the right file, or the right site with --site. Nothing was changed.",
    ),
    "RCL5011": Explanation(
        "a state that was not restored",
        "Nobody said yes.",
        "Run the command again and answer yes, or give --yes.",
    ),
    "RCL5013": Explanation(
        "no room to restore",
        "The folder of the state has less free space than the backup of the state holds.",
        "Make room there. Nothing was changed.",
    ),
    "RCL5012": Explanation(
        "no state to back up",
        "The site has no state database yet: nothing was ever applied, or `state` in the site names another file.",
        "Correct `state` in the site, or back up once something was applied.",
    ),
}

#: RCL6xxx: schedule and jobs
_JOBS: dict[str, Explanation] = {
    "RCL6010": Explanation(
        "a clock that jumped",
        "The clock moved by more than a day since the last run. Points expire by the clock, so expiry waits.",
        "If the time is right, run once with --confirm-clock.",
    ),
    "RCL6011": Explanation(
        "rehearsed time goes forward",
        "--now names a time before one that the site has lived through.",
        "Give a later --now, or none.",
    ),
    "RCL6012": Explanation(
        "rehearsal is not allowed here",
        "--now is only for sites that say `rehearsal: true`.",
        "Leave --now out; in a demo or a test set `rehearsal: true` in the site.",
    ),
    "RCL6014": Explanation(
        "no heartbeat",
        "The loop has not run for longer than it may.",
        "Start `reconciler run`, or look at what keeps it from running.",
    ),
    "RCL6015": Explanation(
        "a machine is late or unprotected",
        "The newest recovery point of a protected machine is older than its RPO.",
        "See `reconciler jobs` for why its jobs did not run or failed.",
    ),
    "RCL6017": Explanation(
        "coverage below the threshold",
        "Fewer machines are protected, or more are unprotected, than the command was told to accept.",
        "Protect the listed machines, or exclude them with a reason.",
    ),
    "RCL6018": Explanation(
        "recovery points in the future",
        "A clock was ahead once, or is behind now: what a server holds is dated later than this moment. Nothing is "
        "decided by such a time: backups go on, the points stay, and `recover` does not take them for the newest.",
        "Look at the clocks of this host and of the server. Once the time is right, say so: "
        "`reconciler run --until-idle --confirm-clock`. Then it is a warning, and `status --check` is content.",
    ),
    "RCL6019": Explanation(
        "times of the state in the future",
        "The loop, a job or a run was recorded while the clock was ahead, or the clock is behind now.",
        "Look at the clock of this host. The times are written anew when the loop runs.",
    ),
    "RCL6020": Explanation(
        "a later point was not taken for the newest",
        "Points whose times lie in the future are passed over, unless there is no other one.",
        "Look at `reconciler points`, and name the point with --point if another one is wanted.",
    ),
    "RCL6016": Explanation(
        "a check took too long",
        "A scheduled consistency check was ended after the hours that its schedule gives it.",
        "Give it more hours or another time; nothing of it was stored.",
    ),
}

#: RCL7xxx: recovery
_RECOVERY: dict[str, Explanation] = {
    "RCL7001": Explanation(
        "this engine cannot recover",
        "The engine of this server has no recovery of machines.",
        "Recover with the server's own console.",
    ),
    "RCL7002": Explanation(
        "an unknown machine",
        "No cluster shows a machine of that name or id, and no replica was made of one.",
        "See `reconciler status` for the names.",
    ),
    "RCL7003": Explanation(
        "a name that several virtual machines have",
        "More than one virtual machine is called so, or has that id: a replica virtual machine has its primary's id.",
        "Name it with its cluster: CLUSTER/NAME, or CLUSTER/ID. The id of a point (`--point`) tells it, too.",
    ),
    "RCL7004": Explanation(
        "no such recovery point",
        "There is no point with that id, or none as old.",
        "See `reconciler points` for what there is.",
    ),
    "RCL7005": Explanation(
        "no such disk",
        "The recovery point has no disk of that name.",
        "The message names the disks that it has.",
    ),
    "RCL7006": Explanation(
        "something is in the way",
        "The folder to recover to already has a file of that name; nothing is overwritten there.",
        "Choose an empty folder.",
    ),
    "RCL7007": Explanation(
        "no room to recover",
        "The target has less free space than the recovery writes.",
        "Make room, or recover elsewhere with --to.",
    ),
    "RCL7008": Explanation(
        "the machine is not off",
        "The disks of a machine that may be running would be replaced under it.",
        "Shut it down, then recover.",
    ),
    "RCL7009": Explanation(
        "the resource group is missing",
        "The cluster no longer has the machine's resource group, so the original place is not there.",
        "Recover to an alternate location (--to FOLDER), then make the machine highly available.",
    ),
    "RCL7010": Explanation(
        "the target does not read back",
        "What was staged at the target did not read back as it was written. The target was not touched.",
        "Look at the target's disk, or recover elsewhere with --to.",
    ),
    "RCL7011": Explanation(
        "not recovered",
        "Nobody said yes.",
        "Run the command again and answer yes, or give --yes.",
    ),
}

#: RCL9xxx: faults of ours
_INTERNAL = {
    "RCL9001": Explanation(
        "internal error",
        "The program met a state that its authors did not foresee.",
        "Please report it with the printed trace, or with the file below .reconciler/traces that the message names."
        " What was begun is in the journal; nothing is half-written. A watching loop goes on with everything else.",
    ),
}

CATALOG: dict[str, Explanation] = {
    **_COMMAND_LINE,
    **_POLICIES,
    **_INVENTORY,
    **_PLAN,
    **_STORE,
    **_STATE,
    **_JOBS,
    **_RECOVERY,
    **_INTERNAL,
    "RCL7012": Explanation(
        "a name that several disks have",
        "Several disks of the recovery point end in the name that was given.",
        "Name the disk by its path; the message lists them.",
    ),
    "RCL7013": Explanation(
        "a file that several virtual machines name",
        "The configurations of two virtual machines name the same file as theirs, directly or through a link. A "
        "recovery of the one would replace it under the other, and a backup of both holds what either of them wrote.",
        "Give each virtual machine files of its own, or declare the disk as shared. Recover to a folder (--to FOLDER).",
    ),
    "RCL7014": Explanation(
        "which disk is which cannot be told",
        "A disk of the recovery point is not at its place any more, and the virtual machine has a disk that the point "
        "does not know. Whether it is the same disk, moved and renamed, is not to be seen.",
        "Recover to a folder (--to FOLDER) and put the file where it belongs. An `id` at each disk in vm.json "
        "settles it.",
    ),
    "RCL7015": Explanation(
        "no place for a file",
        "What stands where a file is to be recovered to is a link, a folder, a device or a pipe. It is neither "
        "followed nor replaced.",
        "Look at what is there; move it away, or recover to a folder (--to FOLDER).",
    ),
    "RCL7016": Explanation(
        "the configuration of the point does not read",
        "The configuration file that was stored with the recovery point is not one of a virtual machine.",
        "Recover the disks to a folder (--to FOLDER), and make the virtual machine anew around them.",
    ),
    "RCL7019": Explanation(
        "single disks of a virtual machine that is gone",
        "The cluster knows neither the role nor the configuration of the virtual machine: a disk of it has no place.",
        "Recover the whole virtual machine, which is then made anew, or the disks to a folder (--to FOLDER).",
    ),
    "RCL7020": Explanation(
        "a recovery that was cut off",
        "The process of a recovery ended before anything was replaced. What it had staged is removed, and it does not "
        "go on by itself, since by then the target may be in use.",
        "Ask for the recovery anew, if it is still wanted.",
    ),
    "RCL7021": Explanation(
        "a recovery that was not carried out",
        "What was agreed to does not hold any more: the virtual machine is on, a file that would be replaced was "
        "written to, a staged file is gone, or more than 24 hours have passed. Nothing was replaced.",
        "Look at the target, and ask for the recovery anew.",
    ),
    "RCL7022": Explanation(
        "a recovery that is half done",
        "Something came in between after the first file was replaced, so nothing more was written. What was replaced "
        "is beside its place, under a name that ends in `.original-` and the token of the recovery.",
        "`reconciler recover --continue VM` finishes it, `reconciler recover --undo VM` goes back; both show and ask.",
    ),
    "RCL7023": Explanation(
        "no recovery is half done",
        "--continue and --undo are about a recovery that was interrupted after its first file was replaced.",
        "Ask for a recovery: `reconciler recover VM`.",
    ),
    "RCL7024": Explanation(
        "a recovery that was asked for and not done",
        "The last recovery of the virtual machine was refused, failed or was cut off. It is not done by itself.",
        "`reconciler jobs` says more. Ask for it anew, if it is still wanted.",
    ),
    "RCL7025": Explanation(
        "the target of a recovery cannot be written",
        "A file could not be staged beside its place: the disk is full, the account may not write there, or the disk "
        "failed. Nothing was replaced, and what had been staged is removed.",
        "The message names the place, and what is needed or who. Recover to another folder with --to FOLDER.",
    ),
    "RCL7026": Explanation(
        "an interrupted recovery that cannot be seen",
        "The store, which alone knows what a recovery was about to do, is not there or not to be used.",
        "Bring the store back first. What was replaced lies beside its place, in files that end in `.original-...`.",
    ),
    "RCL7029": Explanation(
        "what a recovery staged that was cut off",
        "Its process died before everything was staged. Nothing was replaced, and it is not carried out any more; what "
        "it had written lies beside the files it was for, in names that begin with a dot and end in `.staged`.",
        "`reconciler recover --undo VM` removes it, and so does the next backup or recovery of the virtual machine.",
    ),
    "RCL7030": Explanation(
        "files of a recovery of which nothing is known",
        "The catalog of the virtual machine was made anew, and of the former one it could not be read which "
        "recoveries had not ended. Beside its files lie files of recoveries: some of its disks may be those of a "
        "recovery point, and others not. No backup is made of that.",
        "`.original-...` is what a file was before it was replaced; `.staged` is what was to replace one. Put back "
        "what is wanted with the virtual machine off, move the others elsewhere, and run `reconciler check VM`. Or "
        "recover it to a folder.",
    ),
    "RCL7028": Explanation(
        "another virtual machine of the same name",
        "A virtual machine that is made anew under its name has another id, and one that came to another cluster is "
        "another one for its recovery points. A name means the one that a cluster has now; the former one is still "
        "recovered, by its id with its cluster.",
        "Name it as the message tells.",
    ),
    "RCL7027": Explanation(
        "a recovery into what the site itself keeps",
        "The folder lies within the policies, a store, a cluster, or the evidence: what is recovered there would be "
        "taken for a part of it.",
        "Choose another folder.",
    ),
}
