# What the acceptance tests share; dot-source it in BeforeAll. Machines of tests are named test-…, so that clean-up leaves others alone.

Import-Module ([IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'module', 'X86Virt.psd1')))

# Real-mode code, unless its name says otherwise.
$TestGuest = @{
    Spin        = 'eb fe'                                    # jmp $
    Count       = '40 eb fd'                                 # inc ax; jmp back
    Halt        = 'fa f4'                                    # cli; hlt
    Exit11      = 'b0 05 e6 f4 eb fe'                        # mov al, 5; out 0xf4, al
    Ok          = 'ba f8 03 b0 6f ee b0 6b ee b0 0a ee fa f4' # "ok" and a line feed to COM1; cli; hlt
    Reset       = 'b0 fe e6 64 eb fe'                        # the keyboard controller's reset line
    Fault32     = '0f 0b'                                    # ud2, for protected mode without an IDT
}

function Save-TestFile([string] $Name, [byte[]] $Bytes) {
    $path = [IO.Path]::Combine($TestDrive, $Name)
    [IO.File]::WriteAllBytes($path, $Bytes)
    $path
}

function New-TestMachine([string] $Name, [string] $Code, [hashtable] $Settings = @{}) {
    $bytes = [byte[]]($Code.Split(' ') | ForEach-Object { [Convert]::ToByte($_, 16) })
    $all = @{ Name = $Name; FlatBinary = Save-TestFile "$Name.bin" $bytes; Memory = 4MB } + $Settings
    New-VirtualMachine @all -ErrorAction Stop
}

# A bzImage of protocol 2.04 whose kernel ends the machine with exit code 11; a stated size beyond the file's makes it a truncated one.
function Save-LinuxImage([string] $Name, [uint32] $StatedSize = 16) {
    $image = [byte[]]::new(1024 + 16)
    $image[0x1f1] = 1                                          # set-up sectors
    [BitConverter]::GetBytes([uint32]($StatedSize / 16)).CopyTo($image, 0x1f4)
    $image[0x1fe] = 0x55; $image[0x1ff] = 0xaa
    $image[0x200] = 0xeb; $image[0x201] = 0x2e                 # the header ends behind this jump's distance
    [Text.Encoding]::ASCII.GetBytes('HdrS').CopyTo($image, 0x202)
    $image[0x206] = 4; $image[0x207] = 2
    $image[0x211] = 1                                          # loaded high
    [BitConverter]::GetBytes([uint32] 0x37ffffff).CopyTo($image, 0x22c) # how high an initial RAM disk may be
    [Array]::Copy([byte[]](0xb0, 5, 0xe6, 0xf4, 0xeb, 0xfe), 0, $image, 1024, 6)
    Save-TestFile $Name $image
}

# A multiboot kernel, placed by the addresses in its header, that prints the string of its first module and ends with exit code 11.
function Save-MultibootImage([string] $Name) {
    $header = [uint32[]](0x1badb002, 0x10000, 0xe4514ffeL, 0x100000, 0x100000, 0, 0, 0x100020)
    # mov esi, [ebx+24]; mov esi, [esi+8]; mov dx, 0x3f8; next: lodsb; test al, al; jz end; out dx, al; jmp next; end: mov al, 5; out 0xf4, al
    $code = '8b 73 18 8b 76 08 66 ba f8 03 ac 84 c0 74 03 ee eb f8 b0 05 e6 f4 eb fe'.Split(' ') | ForEach-Object { [Convert]::ToByte($_, 16) }
    Save-TestFile $Name ([byte[]](@($header | ForEach-Object { [BitConverter]::GetBytes($_) }) + $code))
}

function Save-MonitorGuest { Save-TestFile 'monitor.bin' ([X86Virt.Guests.BuiltInGuest]::Hello.Image) }

function New-PrimeMachine([string] $Name, [int] $Number, [hashtable] $Settings = @{}) {
    $guest = [X86Virt.Guests.BuiltInGuest]::IsPrime($Number)
    $all = @{ Name = $Name; FlatBinary = Save-TestFile "$Name.bin" $guest.Image; LoadAddress = $guest.LoadAddress; BootMode = 'Long'; Memory = 16MB } + $Settings
    New-VirtualMachine @all -ErrorAction Stop
}

function Remove-TestMachine { Get-VirtualMachine -Name test-* | Remove-VirtualMachine -Force -Confirm:$false }

# The first error of a script block that goes on after errors; its output is dropped.
function Get-FirstError([scriptblock] $Script) {
    $record = $null
    try { $record = & $Script 2>&1 | Where-Object { $_ -is [System.Management.Automation.ErrorRecord] } | ForEach-Object { $_ } }
    catch { $record = $_ }
    @($record)[0]
}
