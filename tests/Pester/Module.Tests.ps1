BeforeDiscovery {
    . $PSScriptRoot/TestMachines.ps1
    $commands = @(foreach ($command in (Get-Module X86Virt).ExportedCmdlets.Values) { @{ Name = $command.Name; Command = $command } })
    $changing = @($commands | Where-Object { $_.Command.Verb -notin 'Get', 'Read', 'Receive', 'Wait', 'Resolve', 'Enter', 'Measure', 'Compare', 'Invoke', 'Register', 'Show' })
    $onMachines = @($commands | Where-Object { $_.Name -notin 'New-VirtualMachine', 'Get-VirtualMachine', 'Compare-VMBootOverhead', 'Compare-VMEngine', 'Compare-VMForkWait', 'Invoke-VMNanobenchmark', 'Compare-VMNanobenchmark', 'Get-VMCostProfile', 'Measure-VMCostProfile', 'Export-VMBenchmarkImage', 'Export-VMReport', 'Show-VMReport' })
    $examples = @(
        foreach ($command in $commands) {
            foreach ($example in (Get-Help $command.Name -Full).examples.example) {
                # The one takes the terminal for itself, the other needs a Linux that forks; that is in Costs.Tests.ps1.
                if ("$($example.code)" -notmatch 'Enter-VMConsole|Compare-VMForkWait') { @{ Name = $command.Name; Code = "$($example.code)" } }
            }
        }
    )
}
BeforeAll { . $PSScriptRoot/TestMachines.ps1 }

Describe 'The module' {
    It 'exports what its manifest lists, and all cmdlets that there are' {
        $module = Get-Module X86Virt
        $public = [Linq.Enumerable]::ToArray([type[]][AppDomain]::CurrentDomain.GetAssemblies().Where({ $_.GetName().Name -eq 'X86Virt.PowerShell' })[0].GetExportedTypes()) |
            Where-Object { -not $_.IsAbstract -and [System.Management.Automation.Cmdlet].IsAssignableFrom($_) }
        $module.ExportedCmdlets.Count | Should -Be @($public).Count
        $module.ExportedFunctions.Count + $module.ExportedAliases.Count + $module.ExportedVariables.Count | Should -Be 0
    }

    It 'has help that is made from its sources as they are' {
        $file = [IO.Path]::Combine($TestDrive, 'help.xml')
        $root = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..'))
        & ([IO.Path]::Combine($root, 'build', 'Help.ps1')) -Path $file
        $kept = [IO.Path]::Combine($root, 'module', 'en-US', 'X86Virt.PowerShell.dll-Help.xml')
        [IO.File]::ReadAllText($file) -eq [IO.File]::ReadAllText($kept) | Should -BeTrue -Because 'build/Help.ps1 brings it up to date'
    }

    It 'has the topic <_>' -ForEach 'about_X86Virt', 'about_X86Virt_Engines' {
        "$(Get-Help $_)" | Should -Match 'LONG DESCRIPTION'
    }
}

Describe '<Name>' -ForEach $commands {
    It 'has help with a synopsis, a description and an example' {
        $help = Get-Help $Name -Full
        "$($help.Synopsis)" | Should -Match '\.$'
        @($help.description).Count | Should -BeGreaterThan 0
        @($help.examples.example).Count | Should -BeGreaterThan 0
    }

    It 'has help for each parameter' {
        foreach ($parameter in (Get-Help $Name -Full).parameters.parameter) {
            "$($parameter.description | ForEach-Object { $_.Text })" | Should -Match '\S' -Because "-$($parameter.name) needs it"
        }
    }

    It 'says what it writes' {
        $Command.OutputType.Count | Should -BeGreaterThan 0
    }
}

Describe '<Name>, which changes or destroys,' -ForEach $changing {
    It 'asks before it does' {
        $Command.Parameters.Keys | Should -Contain 'WhatIf'
        $Command.Parameters.Keys | Should -Contain 'Confirm'
    }
}

Describe '<Name>, which works on machines,' -ForEach $onMachines {
    It 'takes them by name and as objects, also from the pipeline' {
        foreach ($parameter in 'Name', 'VM') {
            $attributes = $Command.Parameters[$parameter].Attributes.Where({ $_ -is [Parameter] })
            $attributes.Where({ $_.ValueFromPipeline -and $_.Position -eq 0 }).Count | Should -Be 1 -Because "-$parameter is the first thing one gives"
        }
    }
}

Describe 'The example of <Name>' -ForEach $examples {
    BeforeEach {
        # Says ready, then answers every character with itself.
        $guest = 'ba f8 03 b0 72 ee b0 65 ee b0 61 ee b0 64 ee b0 79 ee b0 0a ee ba fd 03 ec a8 01 74 fb ba f8 03 ec ee eb f1'
        if ($Code -match '-Wait') { $guest = $TestGuest.Exit11 }
        # Others have no exits, no VMCB and no history.
        $engine = switch -Regex ($Name) {
            '^Measure-VmExit$' { 'BinaryTranslation'; break }
            'Vmcb|VmExit|NestedPage' { 'HardwareAssist'; break }
            'HybridHistory' { 'Hybrid'; break }
            default { 'BinaryTranslation' }
        }
        $demo = New-VirtualMachine -Name demo -Engine $engine -Memory 4MB -FlatBinary (Save-TestFile 'demo.bin' ([byte[]]($guest.Split(' ') | ForEach-Object { [Convert]::ToByte($_, 16) })))
        if ($Code -notmatch 'Start-VM' -and ($Code -notmatch 'Step-VM' -or $Code -match 'Suspend-VM')) { Start-VM $demo }
        $null = Save-LinuxImage 'vmlinuz'
        $null = Save-TestFile 'initrd.gz' ([byte[]]::new(100))
        $null = Save-TestFile 'bios-256k.bin' ([byte[]]::new(256KB))
        $null = Save-TestFile 'boot.bin' ([byte[]](0xeb, 0xfe))
        Push-Location $TestDrive
    }
    AfterEach {
        Pop-Location
        Get-VirtualMachine demo*, linux*, boot*, bios* | Remove-VirtualMachine -Force
    }

    It 'works: <Code>' {
        $ErrorActionPreference = 'Stop'
        { & ([scriptblock]::Create($Code)) } | Should -Not -Throw
    }
}
