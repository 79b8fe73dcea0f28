# Skipped where build.ps1 Guests could not fetch Debian's kernels. Slow (build.ps1 Test -All) is what takes minutes: the bigger kernels
# where nothing is translated, and the interpreter.
BeforeDiscovery {
    . $PSScriptRoot/TestMachines.ps1
    $guests = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests'))
    $kernels = @(
        @{ Kernel = 'vmlinuz-cloud-amd64'; Disk = 'initramfs-amd64.cpio.gz'; Machine = 'x86_64' }
        @{ Kernel = 'vmlinuz-amd64'; Disk = 'initramfs-amd64.cpio.gz'; Machine = 'x86_64' }
        @{ Kernel = 'vmlinuz-686'; Disk = 'initramfs-i386.cpio.gz'; Machine = 'i686' }
    )
    foreach ($one in $kernels) {
        $one.Missing = @($one.Kernel, $one.Disk | Where-Object { -not [IO.File]::Exists([IO.Path]::Combine($guests, $_)) }).Count -gt 0
    }
    $cloud = $kernels[0]
    # Without ACPI there is nothing to switch the power off with, so the kernel halts instead.
    $endings = @(
        @{ Action = 'poweroff'; Platform = 'ACPI and APIC'; Arguments = ''; Ends = 'PowerOff'; Says = 'reboot: Power down' }
        @{ Action = 'reboot'; Platform = 'ACPI and APIC'; Arguments = ''; Ends = 'Reset'; Says = 'reboot: (Restarting system|machine restart)' }
        @{ Action = 'halt'; Platform = 'ACPI and APIC'; Arguments = ''; Ends = 'Halt'; Says = 'reboot: System halted' }
        @{ Action = 'poweroff'; Platform = 'the PICs alone'; Arguments = 'acpi=off pci=off noapic nolapic'; Ends = 'Halt'; Says = 'reboot: System halted' }
        @{ Action = 'reboot'; Platform = 'the PICs alone'; Arguments = 'acpi=off pci=off noapic nolapic'; Ends = 'Reset'; Says = 'reboot: (Restarting system|machine restart)' }
        @{ Action = 'halt'; Platform = 'the PICs alone'; Arguments = 'acpi=off pci=off noapic nolapic'; Ends = 'Halt'; Says = 'reboot: System halted' }
    )
    $boots = foreach ($kernel in $kernels) { foreach ($ending in $endings) { $kernel + $ending } }
    $multiboot = @(
        @{ File = 'xen'; Engine = 'DecodedCache'; CommandLine = 'com1=115200,8n1 console=com1 noreboot'; Says = 'dom0 kernel not specified' }
        @{ File = 'gnumach'; Engine = 'BinaryTranslation'; CommandLine = 'console=com0'; Says = 'bootstrap_create: No bootstrap code' }
    )
    foreach ($one in $multiboot) { $one.Missing = -not [IO.File]::Exists([IO.Path]::Combine($guests, $one.File)) }
    $ofCloud = @($boots | Where-Object { $_.Kernel -eq $cloud.Kernel })
    $ofOthers = @($boots | Where-Object { $_.Kernel -ne $cloud.Kernel })
    $ofOthersQuick = @($ofOthers | Where-Object { $_.Ends -eq 'PowerOff' -or ($_.Action -eq 'reboot' -and $_.Arguments) })
}
BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $Guests = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..', 'artifacts', 'guests'))

    function New-LinuxMachine([string] $Name, [string] $Kernel, [string] $Disk, [string] $Arguments, [hashtable] $Settings = @{}) {
        $all = @{
            Name           = $Name
            Memory         = 256MB
            Kernel         = [IO.Path]::Combine($Guests, $Kernel)
            InitialRamDisk = [IO.Path]::Combine($Guests, $Disk)
            CommandLine    = "console=ttyS0 $Arguments"
            NoReboot       = $true
        }
        foreach ($name in $Settings.Keys) { $all[$name] = $Settings[$name] }
        New-VirtualMachine @all -ErrorAction Stop
    }

    # Two machines that differ in nothing, or in their engine alone, side by side to their end.
    function Compare-LinuxRun([string] $Kernel, [string] $Disk, [string] $Arguments, [string[]] $Engine, [int] $Timeout = 240) {
        $run = 0
        $machines = foreach ($kind in $Engine) { New-LinuxMachine "test-$((++$run))-$kind" $Kernel $Disk $Arguments @{ Engine = $kind } }
        Start-VM $machines
        Wait-VM $machines -Timeout $Timeout -ErrorAction Stop
        foreach ($other in $machines | Select-Object -Skip 1) {
            Get-VMConsole $other | Should -BeExactly (Get-VMConsole $machines[0])
            $other.InstructionsRetired | Should -Be $machines[0].InstructionsRetired
            "$($other.StopReason)" | Should -BeExactly "$($machines[0].StopReason)"
        }
        $machines[0]
    }

    # It came to user space and ended as its boot says, which are the variables of the block.
    function Test-LinuxEnd($Vm) {
        Get-VMConsole $Vm | Should -Match "X86VIRT-GUEST-READY .* $Machine"
        Get-VMConsole $Vm | Should -Match $Says
        $Vm.StopReason.Kind | Should -Be $Ends
    }
}

Describe "Debian's <Kernel>" -ForEach @($cloud) -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'boots to a shell, which answers, and powers off when it is left' -Skip:$Missing {
        $vm = New-LinuxMachine test-shell $Kernel $Disk 'x86virt.action=shell'
        Start-VM $vm
        Wait-VM $vm -ConsoleText 'X86VIRT-GUEST-READY[^#]*# ' -Timeout 240 -ErrorAction Stop
        Send-VMConsole $vm -Text 'echo $((6 * 7))-answers'
        Wait-VM $vm -ConsoleText '(?m)^42-answers' -Timeout 240 -ErrorAction Stop
        Send-VMConsole $vm -Text 'exit'
        Wait-VM $vm -Timeout 240 -ErrorAction Stop
        $vm.StopReason.Kind | Should -Be 'PowerOff'
        $vm.ExitCode | Should -Be 0
    }

    It 'starts again when it reboots, and comes to the same place' -Skip:$Missing {
        $vm = New-LinuxMachine test-again $Kernel $Disk 'x86virt.action=reboot' @{ NoReboot = $false; Engine = 'BinaryTranslation' }
        Start-VM $vm
        Wait-VM $vm -ConsoleText '(?s)X86VIRT-GUEST-READY.*X86VIRT-GUEST-READY' -Timeout 240 -ErrorAction Stop
        $vm.Reboots | Should -BeGreaterOrEqual 1
    }

    It 'retires the same instructions and prints the same on two runs of programs that compute, fork, pipe and signal, on <Engine>: <Arguments>' -Skip:$Missing -ForEach @(
        @{ Engine = 'DecodedCache'; Arguments = 'x86virt.action=script' }
        @{ Engine = 'BinaryTranslation'; Arguments = 'x86virt.action=script' }
        @{ Engine = 'BinaryTranslation'; Arguments = 'x86virt.action=script acpi=off pci=off noapic nolapic' }
    ) {
        $vm = Compare-LinuxRun $Kernel $Disk $Arguments $Engine, $Engine
        $text = Get-VMConsole $vm
        $text | Should -Match 'X86VIRT-SCRIPT-DONE selftest 0'
        $text | Should -Not -Match '(?m)^FAIL'
    }
}

Describe "Debian's <Kernel> with <Platform>" -ForEach $ofCloud -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'boots, does as told (<Action>), and is the same on DecodedCache and BinaryTranslation' -Skip:$Missing {
        Test-LinuxEnd (Compare-LinuxRun $Kernel $Disk "x86virt.action=$Action $Arguments" DecodedCache, BinaryTranslation)
    }
}

Describe "Debian's <Kernel> with <Platform>" -ForEach $ofOthersQuick -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'boots, does as told (<Action>), and is the same on two runs' -Skip:$Missing {
        Test-LinuxEnd (Compare-LinuxRun $Kernel $Disk "x86virt.action=$Action $Arguments" BinaryTranslation, BinaryTranslation)
    }
}

Describe "Debian's <Kernel> with <Platform>" -ForEach $ofOthers -Tag Linux, Slow {
    AfterEach { Remove-TestMachine }

    It 'boots, does as told (<Action>), and is the same on DecodedCache and BinaryTranslation' -Skip:$Missing {
        Test-LinuxEnd (Compare-LinuxRun $Kernel $Disk "x86virt.action=$Action $Arguments" DecodedCache, BinaryTranslation)
    }
}

Describe "Debian's <Kernel> and the translator's settings" -ForEach @($cloud) -Tag Linux {
    BeforeAll {
        if ($Missing) { return }
        $reference = New-LinuxMachine test-reference $Kernel $Disk 'x86virt.action=poweroff' @{ Engine = 'DecodedCache' } | Start-VM -Wait -Timeout 240 -PassThru -ErrorAction Stop
        $referenceText = Get-VMConsole $reference
        $referenceInstructions = $reference.InstructionsRetired

        function Test-LinuxSetting([hashtable] $Settings) {
            $vm = New-LinuxMachine test-settings $Kernel $Disk 'x86virt.action=poweroff' (@{ Engine = 'BinaryTranslation' } + $Settings) | Start-VM -Wait -Timeout 600 -PassThru -ErrorAction Stop
            Get-VMConsole $vm | Should -BeExactly $referenceText
            $vm.InstructionsRetired | Should -Be $referenceInstructions
            $vm
        }
    }
    AfterEach { Get-VirtualMachine -Name test-settings | Remove-VirtualMachine -Force -Confirm:$false }
    AfterAll { Remove-TestMachine }

    It 'boots the same with a translation cache of 1 MiB, which is evicted again and again' -Skip:$Missing {
        $vm = Test-LinuxSetting @{ TranslationCacheSize = '1MB' }
        (Get-TranslationCache $vm).DroppedForRoom | Should -BeGreaterThan 10000
    }

    It 'boots the same with nothing but translation unit by unit' -Skip:$Missing {
        $vm = Test-LinuxSetting @{ TranslationFeature = 'None' }
        (Get-TranslationCache $vm).ChainsMade | Should -Be 0
    }

    It 'boots the same without <_>' -Skip:$Missing -Tag Slow -ForEach 'Chaining', 'InlineLookup', 'Superblocks', 'ReturnStack', 'Adaptation', 'AccessGroups', 'Unrolling' {
        $without = [X86Virt.Engine.Processor.TranslationFeatures]::All -bxor [X86Virt.Engine.Processor.TranslationFeatures]$_
        $null = Test-LinuxSetting @{ TranslationFeature = $without }
    }

    It 'boots the same: <_.Name>' -Skip:$Missing -Tag Slow -ForEach @(
        @{ Name = 'units of the paper'; Settings = @{ TranslationUnitLimit = 12 } }
        @{ Name = 'units of one instruction'; Settings = @{ TranslationUnitLimit = 1 } }
        @{ Name = 'guest page tables walked'; Settings = @{ Paging = 'Walk' } }
        @{ Name = 'few shadow page tables'; Settings = @{ ShadowTableLimit = 16 } }
    ) {
        $null = Test-LinuxSetting $Settings
    }

    It 'boots in lockstep with DecodedCache' -Skip:$Missing -Tag Slow {
        $result = Compare-VMEngine -Kernel ([IO.Path]::Combine($Guests, $Kernel)) -InitialRamDisk ([IO.Path]::Combine($Guests, $Disk)) -CommandLine 'console=ttyS0 x86virt.action=poweroff' `
            -Memory 256MB -NoReboot -Engine BinaryTranslation -Reference DecodedCache -Stride 20000000 -Count 3000000000
        $result.Agreed | Should -BeTrue
        $result.Instructions | Should -Be $referenceInstructions
    }
}

Describe "Debian's <Kernel> on every engine" -ForEach @($cloud) -Tag Linux, Slow {
    AfterEach { Remove-TestMachine }

    It 'retires the same instructions and prints the same: <_>' -Skip:$Missing -ForEach 'x86virt.action=poweroff', 'x86virt.action=halt acpi=off pci=off noapic nolapic' {
        $vm = Compare-LinuxRun $Kernel $Disk $_ ([Enum]::GetNames([X86Virt.Engine.EngineKind])) -Timeout 900
        Get-VMConsole $vm | Should -Match 'X86VIRT-GUEST-READY'
    }
}

Describe "Debian's multiboot kernel <File>" -ForEach $multiboot -Tag Linux {
    AfterEach { Remove-TestMachine }

    It 'comes to its own end: <Says>' -Skip:$Missing {
        $vm = New-VirtualMachine -Name test-multiboot -Memory 512MB -Kernel ([IO.Path]::Combine($Guests, $File)) -CommandLine $CommandLine -Engine $Engine
        Start-VM $vm
        (Wait-VM $vm -ConsoleText $Says -Timeout 240 -PassThru -ErrorAction Stop).Name | Should -Be 'test-multiboot'
    }
}
